"""Buying: an owner chooses on Subscription Settings, pays on the provider's page, and comes back.

The purchase is a row before the provider is asked, and an account has one open at most: two tabs, and a button pressed
twice, lead to one page on which one can pay. It grants nothing. What was bought begins when the provider says so: to
whoever comes back from its page, to the message that it sends, and to the sweep that asks when neither came, whichever
is first.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import BeingErased
from accounts.jobs.due_work import run_due
from accounts.jobs.invariants import Invariant
from accounts.jobs.sweeps import Sweep
from accounts.models import Account, User
from subscriptions.billing import in_the_way
from subscriptions.billing.in_the_way import InTheWay
from subscriptions.billing.offers import Offer
from subscriptions.billing.purchase import Purchase, PurchaseState
from subscriptions.billing.selling import OutOfReach, Progress, Seller, seller_called

#: How long the provider's page can be paid on. Stripe takes no less than 30 minutes.
OPEN_FOR = timedelta(hours=1)
#: One that is about to close is not handed out again: nobody types a card number in less.
NEARLY_OVER = timedelta(minutes=5)
#: When the provider is asked of its own accord; mostly its message, or the buyer, is quicker.
FIRST_LOOK = timedelta(minutes=5)
LOOK_AGAIN = timedelta(minutes=10)
#: A run ends after this long; the next one goes on.
RUN = timedelta(seconds=30)
#: Lines of a dry run.
PREVIEWED = 1000


class BeingPaid(InTheWay):
    """What was begun before is paid, and not yet confirmed: a second one would be paid twice."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "You have paid already, and the payment is being confirmed. The subscription begins as soon as it is: "
                "there is nothing more to pay."
            ),
            in_the_way.SETTINGS,
            _("To Subscription Settings"),
        )


class AnotherTab(InTheWay):
    """Somebody has begun another purchase of this account just now."""

    def __init__(self) -> None:
        super().__init__(
            _("Another purchase for this account was begun just now, in another window. Finish it there, or try again.")
        )


def lead_to_payment(account: Account, offer: Offer, *, seats: int, seller: Seller, by: User, at: datetime) -> str:
    """Begin a purchase, and return the address on which it is paid.

    One that was begun before goes on if it is the same; another one is closed first. Raises `InTheWay` while anything
    holds the account, `OutOfReach`, `NotOnSale`. Calls the provider: not to be called inside a transaction.
    """
    _settle_older(account, offer, seats, at)
    purchase = begin(account, offer, seats=seats, seller=seller, by=by, at=at)
    address = seller.checkout(purchase, at=at)
    if not leads_to(seller, address):
        # Not ours to follow: a forged or mistaken answer must not carry an owner's card elsewhere.
        raise OutOfReach
    return address


def begin(account: Account, offer: Offer, *, seats: int, seller: Seller, by: User, at: datetime) -> Purchase:
    """Write down that an owner is about to pay; the same again is the one that is open. Raises `InTheWay`."""
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if account.purging_at:
            raise BeingErased(account.pk)
        in_the_way.refuse(account, at)
        if standing := Purchase.objects.open().filter(account=account).first():
            if _is_same(standing, offer, seats, at):
                return standing
            raise AnotherTab
        return Purchase.objects.create(
            account=account,
            plan=offer.plan,
            interval=offer.interval,
            seats=seats,
            cents=offer.cents,
            currency=offer.currency,
            provider=seller.code,
            price_reference=offer.reference,
            begun_at=at,
            begun_by=by,
            expires_at=at + OPEN_FOR,
            next_attempt_at=at + FIRST_LOOK,
        )


def leads_to(seller: Seller, address: str) -> bool:
    """Whether an address is on one of the provider's own pages."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" in seller.pages


def _settle_older(account: Account, offer: Offer, seats: int, at: datetime) -> None:
    """See what became of what was begun before, and close it if it is not this. Raises `BeingPaid` if it is paid."""
    older = Purchase.objects.open().filter(account=account).first()
    if older is None:
        return
    provider = seller_called(older.provider)
    if _is_same(older, offer, seats, at):
        # It may have been paid in another tab: then there is no page to go on with.
        progress = provider.confirm(older, at=at) if older.session_reference else Progress.TO_PAY
    else:
        progress = provider.give_up(older, at=at)
        if progress == Progress.TO_PAY:
            raise OutOfReach
    if progress == Progress.PAID:
        raise BeingPaid


def _is_same(purchase: Purchase, offer: Offer, seats: int, at: datetime) -> bool:
    chosen = (offer.plan.pk, int(offer.interval), seats, offer.cents, offer.currency, offer.reference)
    begun = (
        purchase.plan_id,
        purchase.interval,
        purchase.seats,
        purchase.cents,
        purchase.currency,
        purchase.price_reference,
    )
    return begun == chosen and at < purchase.expires_at - NEARLY_OVER


def close(purchase: Purchase, state: PurchaseState, *, at: datetime, subscription_id: int | None = None) -> bool:
    """Note what became of an open purchase. Returns whether it was open still: whoever asks first, notes it."""
    open_still = Purchase.objects.open().filter(pk=purchase.pk)
    changed = open_still.update(state=state, closed_at=at, subscription_id=subscription_id, last_error="")
    purchase.refresh_from_db()
    return bool(changed)


def confirm(purchase: Purchase, *, at: datetime) -> Progress:
    """Ask the provider what became of a purchase; one that is closed stays so. Raises `OutOfReach`."""
    if purchase.state != PurchaseState.OPEN:
        return Progress.CLOSED
    return seller_called(purchase.provider).confirm(purchase, at=at)


def look_after(purchase: Purchase, at: datetime) -> bool:
    """A turn of the sweep. Returns whether the purchase is closed now."""
    if confirm(purchase, at=at) == Progress.CLOSED:
        return True
    purchase.put_off("", at, until=at + LOOK_AGAIN, counts=False)
    return False


def confirm_due(at: datetime) -> int:
    """Ask the provider about every purchase of which nothing has been heard. Returns how many are closed by that."""
    return run_due(Purchase.objects.due, look_after, at=at, run=RUN)


def preview(at: datetime) -> Iterator[str]:
    for purchase in Purchase.objects.due(at)[:PREVIEWED]:
        yield f"{purchase}: ask {purchase.provider} what became of it"


SWEEP = Sweep("purchases", run=confirm_due, preview=preview, late_after=timedelta(minutes=15))

INVARIANTS = (
    Invariant(
        "purchase-unknown",
        _("purchases of which the payment provider has not said for a day what became of them"),
        lambda at: Purchase.objects.open().exclude(last_error="").filter(expires_at__lt=at - timedelta(days=1)),
        example="reference",
    ),
)
