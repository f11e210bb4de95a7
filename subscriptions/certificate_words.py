"""How certificates of erasure call what this app holds (`accounts.erasure.certificate_words`)."""

from django.utils.translation import gettext_lazy as _

from accounts.erasure.certificate_words import Group

GROUPS = (
    Group(
        "subscriptions",
        _("Subscriptions and payments"),
        60,
        (
            "subscriptions.Subscription",
            "subscriptions.Cancellation",
            "subscriptions.Purchase",
            "subscriptions.Repricing",
            "subscriptions.Invoice",
            "subscriptions.InvoicePayment",
            "subscriptions.Refund",
            "subscriptions.Payout",
            "subscriptions.Holding",
            "subscriptions.StripeCustomer",
            "subscriptions.Wish",
            "subscriptions.Finding",
            "subscriptions.BillingRecord",
            "subscriptions.ForgettingStep",
            "subscriptions.ImportedRow",
        ),
        {
            "subscriptions.Holding": _("subscriptions as the payment provider has them"),
            "subscriptions.StripeCustomer": _("numbers of customers at Stripe"),
            "subscriptions.Wish": _("instructions to whoever charges"),
            "subscriptions.Finding": _("what staff had to look at"),
            "subscriptions.BillingRecord": _("what was sold, without names"),
            "subscriptions.ForgettingStep": _("what is still to be done at Stripe"),
            "subscriptions.ImportedRow": _("what was taken over from another system, as keyed hashes"),
        },
    ),
)
