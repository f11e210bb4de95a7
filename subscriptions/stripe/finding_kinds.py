"""What can be found at Stripe, in words for staff: what it is, and what they are to do."""

from django.utils.translation import gettext_lazy as _

from subscriptions.billing.finding import FindingKind

KINDS = (
    FindingKind(
        "customer-deleted",
        _("The customer was deleted at Stripe"),
        _(
            "Its subscriptions ended there at that instant, and here with them. If the owner did not ask for it, write "
            "to them: they can subscribe again, and begin as a new customer there."
        ),
    ),
    FindingKind(
        "payment-disputed",
        _("A bank asks for a payment back"),
        _(
            "Answer the dispute in Stripe’s dashboard before its deadline. Do not pay the payment back: it would be "
            "paid twice. Nothing ends by it here unless Stripe is set to end it."
        ),
    ),
    FindingKind(
        "refunded-elsewhere",
        _("A payment was paid back in Stripe’s dashboard"),
        _("The subscription goes on all the same. If it was meant to end, end it here."),
    ),
    FindingKind(
        "refund-needs-bank-details",
        _("A refund waits for the customer’s bank details"),
        _("Stripe has asked them by email. If they do not answer before it expires, pay it back in another way."),
    ),
    FindingKind(
        "credit-note-missing",
        _("A refund with tax has no credit note"),
        _("The money is on its way. Write the credit note in Stripe’s dashboard and link the refund to it."),
    ),
    FindingKind(
        "credit-note-of-a-failed-refund",
        _("A credit note stands for a refund that failed"),
        _("Pay it back in another way and keep the note, or void the note in Stripe’s dashboard."),
    ),
    FindingKind(
        "renewal-not-undone",
        _("A renewal after the end could not be paid back by itself"),
        _("The facts say why. Look at the invoice at Stripe and pay it back in another way, or wait for the dispute."),
    ),
    FindingKind(
        "credit-lost",
        _("A renewal after the end was paid from the customer’s credit"),
        _("Give the credit back in Stripe’s dashboard: adjust the customer’s balance by the amount."),
    ),
    FindingKind(
        "paid-in-vain",
        _("A purchase was paid that can’t begin here"),
        _(
            "Something else holds the account, or the price buys no plan. End it at Stripe and pay it back, or map the "
            "price; the owner was told that we write to them."
        ),
    ),
    FindingKind(
        "foreign-session",
        _("A purchase was paid by another customer than the account’s"),
        _("Look at the session at Stripe. Nothing began here by it."),
    ),
    FindingKind(
        "unmapped-price",
        _("A customer pays for a price that buys no plan"),
        _("Say which plan it buys (Stripe prices), or that it buys none."),
    ),
    FindingKind(
        "price-changed",
        _("A subscription has moved to a price that buys no plan"),
        _("It goes on here by the terms that were known. Say which plan the new price buys (Stripe prices)."),
    ),
    FindingKind(
        "no-seats",
        _("A subscription at Stripe is for no seats"),
        _("Nothing is charged for it. Set its quantity at Stripe, or end it; here it goes on with the seats it had."),
    ),
    FindingKind(
        "missing-there",
        _("Stripe does not list a subscription that it held"),
        _("Nothing ends for that. It may be in another Stripe account, or in the other mode: check STRIPE_API_KEY."),
    ),
    FindingKind(
        "wrong-mode",
        _("A subscription of the other mode, or of another customer"),
        _("Nothing of it was taken over. Check that STRIPE_API_KEY and the endpoint are of one mode."),
    ),
    FindingKind(
        "unlinked-subscriptions",
        _("Subscriptions run at our prices for customers of no account"),
        _("Run `manage.py stripe_import`: it says of each whose it may be, and links what is certain."),
    ),
    FindingKind(
        "erased-customer-buys-elsewhere",
        _("The customer of an erased account buys something else through the same Stripe account"),
        _("It was left whole at Stripe. Erase there by hand what belonged to the account."),
    ),
)
