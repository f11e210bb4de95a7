"""What can be found of any provider, in words for staff: what it is, and what they are to do."""

from django.utils.translation import gettext_lazy as _

from subscriptions.billing.finding import FindingKind

KINDS = (
    FindingKind(
        "paid-after-end",
        _("An invoice was paid for a time after the subscription’s end"),
        _(
            "Pay it back at the provider, in full, and see to it that the subscription has ended there. The finding "
            "closes by itself once the money has gone back; close it here if you have paid it back in another way."
        ),
    ),
    FindingKind(
        "charged-after-end",
        _("A renewal was charged after the end, and is being paid back"),
        _(
            "Find out why the provider could not be told in time. The owner has been told; the money goes back by "
            "itself."
        ),
    ),
    FindingKind(
        "second-live-subscription",
        _("The customer has a second live subscription at the provider"),
        _("Ask the owner which one they want. End the other one at the provider, and pay back what it has charged."),
    ),
    FindingKind(
        "of-another-account",
        _("A subscription belongs to another account here than its customer does"),
        _("Find out at the provider whose it is. Nothing is taken over for either account until it says one of them."),
    ),
    FindingKind(
        "bought-while-erased",
        _("A subscription was bought for an account that is being erased"),
        _("End it at the provider, and pay back what it has charged."),
    ),
    FindingKind(
        "currency-changed",
        _("The subscription is charged in another currency than it began in"),
        _("Nothing is converted here: end the subscription, and let the owner subscribe again in the new currency."),
    ),
    FindingKind(
        "ended-before-promised",
        _("The subscription ended at the provider before the day that its owner was told"),
        _(
            "It has ended here, too. Find out at the provider why; if it was not the owner, offer them the days that "
            "are missing, or their money."
        ),
    ),
    FindingKind(
        "ends-before-promised",
        _("The subscription is due to end at the provider before the day that its owner was told"),
        _("Move its end there to the end of the paid period. Access stays here until the day that was told."),
    ),
    FindingKind(
        "cancelled-elsewhere",
        _("What its owner had kept was cancelled at the provider, and not by them"),
        _("It ends here as it does there, and the owner was told. If it was a mistake, undo it at the provider."),
    ),
    FindingKind(
        "cancellation-undone-elsewhere",
        _("A cancellation was undone at the provider, and not by its owner"),
        _(
            "Find out who did it. Where a refund or a deletion needs the end it is asked for again; else the "
            "subscription goes on, and the owner was told. If it was a mistake, cancel for them here."
        ),
    ),
    FindingKind(
        "goes-on-though-ended",
        _("The subscription is over here and goes on at the provider"),
        _("End it there at once, and pay back what it has charged since: nobody has anything for it."),
    ),
)
