"""What GitHub says by webhook: which of it is applied at once, and what waits for GitHub's own answer.

A webhook is a hint (design, idea 7). It is applied at once as far as that can be undone, and GitHub is asked
afterwards (`marketplace.github.checks`). What contradicts GitHub's last word is not applied at all: a purchase by
somebody who has cancelled, a cancellation of the day of a new purchase or of a day to come. GitHub is asked, and its
answer applied; so a message that is late, or captured and sent again, changes nothing, and a clock that runs is stopped
by GitHub alone. All of it runs in the caller's transaction and makes no calls to elsewhere.
"""

from datetime import UTC, date, datetime, time, timedelta

from accounts.inbox.delivery import Delivery, DeliveryOutcome, Unprocessable
from accounts.inbox.sources import InboxSource
from marketplace import tombstone
from marketplace.github import authorisation, client
from marketplace.github.customer import Doubt, GitHubCustomer
from marketplace.github.payloads import (
    ACTIONS,
    ListedPurchase,
    PurchaseMessage,
    UnreadablePayload,
    message_in,
    read_message,
)
from marketplace.github.purchases import hold, let_go, lock_customer, subscription_of
from marketplace.github.signature import GitHubListing
from marketplace.offboarding import offboarding
from marketplace.tombstone import Marketplace

#: A cancellation that contradicts GitHub's last word counts after so long, unless GitHub says otherwise.
DOUBTED_FOR = timedelta(hours=1)


def handle(delivery: Delivery, at: datetime) -> DeliveryOutcome:
    """Process one GitHub delivery: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    if delivery.mode == GitHubListing.DRAFT:
        return DeliveryOutcome.TEST
    if delivery.event == "ping":
        return DeliveryOutcome.NO_CHANGE
    if delivery.event not in ("marketplace_purchase", authorisation.EVENT):
        return DeliveryOutcome.UNKNOWN
    if delivery.body is None:
        raise Unprocessable("The body is no longer kept.")
    raw = message_in(bytes(delivery.body), delivery.content_type)
    delivery.action = str(raw.get("action", ""))[:100]
    if delivery.event == authorisation.EVENT:
        return authorisation.heard(delivery, raw, at)
    if delivery.action not in ACTIONS:
        return DeliveryOutcome.UNKNOWN
    try:
        message = read_message(raw)
    except UnreadablePayload as error:
        raise Unprocessable(str(error)) from error
    customer = lock_customer(message.buyer.id, new=message.action == "purchased")
    delivery.external_account = str(message.buyer.id)
    if message.unreadable:
        delivery.alert = f"Could not read: {', '.join(message.unreadable)}. Applied as of its receipt."
    outcome, customer = _apply(message, customer, delivery, at)
    delivery.account_id = customer.account_id if customer else None
    if customer and customer.conflict_since == at:
        delivery.alert = "A double purchase: another subscription holds the account. Report it to GitHub."
    return outcome


def _apply(
    message: PurchaseMessage, customer: GitHubCustomer | None, delivery: Delivery, at: datetime
) -> tuple[DeliveryOutcome, GitHubCustomer | None]:
    """What comes of a message, and the customer as it is then."""
    if message.action == "cancelled":
        return _cancelled(message, customer, delivery, at), customer
    if message.purchase is None:
        if customer is None:
            raise Unprocessable("`marketplace_purchase.plan.id` is missing.")
        delivery.alert = "`marketplace_purchase.plan.id` is missing."
        return _ask(customer, at, DeliveryOutcome.ASKED), customer
    if customer is None and _was_erased(message, at):
        return DeliveryOutcome.NO_CHANGE, None
    if customer is None:
        # Also a change of something whose beginning we missed: what it says now is held all the same.
        return DeliveryOutcome.APPLIED, hold(
            message.purchase, None, effective_on=message.effective_on, heard=True, at=at
        )
    return _applied(message, message.purchase, customer, delivery, at), customer


def _was_erased(message: PurchaseMessage, at: datetime) -> bool:
    """Whether it is about a purchase whose account was erased, and no new one: that is a task for staff."""
    found = tombstone.named(Marketplace.GITHUB, message.buyer.id, at)
    if found is None:
        return False
    is_new = message.effective_on is not None and message.effective_on > found.made_at.date()
    if message.action == "purchased" and is_new:
        found.delete()
        return False
    return True


def _applied(
    message: PurchaseMessage, purchase: ListedPurchase, customer: GitHubCustomer, delivery: Delivery, at: datetime
) -> DeliveryOutcome:
    """Of somebody whom we know: a purchase, a change, or one that is pending."""
    if _came_before(delivery):
        return _ask(customer, at, DeliveryOutcome.REPEATED)
    if customer.cancelled_at is None and customer.account.purging_at:
        # Erased though GitHub goes on with the purchase: somebody decided so.
        return DeliveryOutcome.NO_CHANGE
    if message.action == "purchased":
        return _purchased(purchase, message.effective_on, customer, at)
    if customer.cancelled_at or _is_older(message.effective_on, customer.effective_on):
        return _ask(customer, at, DeliveryOutcome.STALE)
    if message.action == "changed" and customer.answered_after(message.effective_on) and client.is_configured():
        return _ask(customer, at, DeliveryOutcome.ASKED)
    if message.action == "changed":
        hold(purchase, customer, effective_on=message.effective_on, heard=True, at=at)
        return DeliveryOutcome.APPLIED
    customer.forget_pending()
    if message.action == "pending_change":
        customer.pending_since, customer.pending_effective_on = at, message.effective_on
    customer.heard_of(at)
    customer.save()
    return DeliveryOutcome.APPLIED


def _ask(customer: GitHubCustomer, at: datetime, outcome: DeliveryOutcome) -> DeliveryOutcome:
    """Nothing is changed by the message; GitHub's answer decides.

    No event is noted either: sent again and again it would make every answer look as if it could be stale.
    """
    customer.ask(at)
    customer.save()
    return outcome


def _came_before(delivery: Delivery) -> bool:
    """Whether the same body was processed under another id: a copy, or a capture sent again with an invented id."""
    return (
        Delivery.objects.filter(source=delivery.source, digest=delivery.digest, processed_at__isnull=False)
        .exclude(pk=delivery.pk)
        .exists()
    )


def _is_older(effective_on: date | None, known: date | None) -> bool:
    """Whether a message is of an earlier day. Of two events of one day nobody knows the order."""
    return effective_on is not None and known is not None and effective_on < known


def _purchased(
    purchase: ListedPurchase, effective_on: date | None, customer: GitHubCustomer, at: datetime
) -> DeliveryOutcome:
    """Somebody whom we know has bought, or a message of an older purchase has come late."""
    if customer.cancelled_at is None:
        if effective_on is None or (customer.effective_on and effective_on <= customer.effective_on):
            return _ask(customer, at, DeliveryOutcome.STALE)
        if customer.answered_after(effective_on) and client.is_configured():
            return _ask(customer, at, DeliveryOutcome.ASKED)
        # The cancellation in between was lost, or is still to come.
        customer.bought_again_on = effective_on
        hold(
            purchase, customer, effective_on=effective_on, heard=True, anew=_ended_before(customer, effective_on), at=at
        )
        return DeliveryOutcome.APPLIED
    if _is_older(effective_on, customer.effective_on):
        return _ask(customer, at, DeliveryOutcome.STALE)
    customer.bought_again_on = effective_on or at.date()
    if client.is_configured():
        return _ask(customer, at, DeliveryOutcome.ASKED)
    # Nobody can be asked: the message is all there is.
    hold(purchase, customer, effective_on=effective_on, heard=True, at=at)
    return DeliveryOutcome.APPLIED


def _ended_before(customer: GitHubCustomer, day: date) -> bool:
    """Whether the subscription of the purchase before was ended here, on an earlier day than this one."""
    current = subscription_of(customer)
    return current is not None and current.ends_at is not None and current.ends_at.date() < day


def _cancelled(
    message: PurchaseMessage, customer: GitHubCustomer | None, delivery: Delivery, at: datetime
) -> DeliveryOutcome:
    """`cancelled` means that it is over already: acted on at once, unless GitHub itself said something else since."""
    if customer is None:
        tombstone.said_to_be_over(Marketplace.GITHUB, message.buyer.id)
        return DeliveryOutcome.NO_CHANGE
    if customer.cancelled_at:
        return _ask(customer, at, DeliveryOutcome.NO_CHANGE)
    if _came_before(delivery):
        return _ask(customer, at, DeliveryOutcome.REPEATED)
    if _is_older(message.effective_on, customer.effective_on):
        return _ask(customer, at, DeliveryOutcome.STALE)
    if message.effective_on and message.effective_on > at.date():
        delivery.alert = (
            f"A cancellation dated ahead: {message.effective_on}. GitHub is asked; else it counts from then."
        )
        until = datetime.combine(message.effective_on, time(), UTC)
        return _doubt(customer, Doubt.AHEAD, delivery.received_at, until, at)
    if message.effective_on and message.effective_on == customer.bought_again_on:
        return _doubt(customer, Doubt.SAME_DAY, delivery.received_at, at + DOUBTED_FOR, at)
    if customer.answered_after(message.effective_on):
        return _doubt(customer, Doubt.OLDER, delivery.received_at, at + DOUBTED_FOR, at)
    customer.heard_of(at)
    customer.effective_on = message.effective_on or customer.effective_on
    let_go(customer, cause=offboarding.OffboardingCause.CANCELLED, received_at=delivery.received_at, at=at)
    return DeliveryOutcome.APPLIED


def _doubt(
    customer: GitHubCustomer, doubt: Doubt, received_at: datetime, until: datetime, at: datetime
) -> DeliveryOutcome:
    """Ask GitHub before a cancellation counts; the first one that was heard is the one that counts."""
    if not customer.doubt or until < (customer.doubt_until or until):
        customer.doubt, customer.doubt_until = doubt, until
        customer.doubt_received_at = customer.doubt_received_at or received_at
    return _ask(customer, at, DeliveryOutcome.ASKED)


def end_doubt(customer: GitHubCustomer, at: datetime) -> None:
    """The cancellation that was in doubt counts: GitHub says so, or has said nothing else in time."""
    assert customer.doubt_received_at
    assert customer.doubt_until
    received_at = customer.doubt_received_at
    if customer.doubt == Doubt.AHEAD and at >= customer.doubt_until:
        # Until that day it was not cancelled: the thirty days are counted from there.
        received_at = max(received_at, customer.doubt_until)
    let_go(customer, cause=offboarding.OffboardingCause.CANCELLED, received_at=received_at, at=at)


SOURCE = InboxSource("github", "GitHub", handle, door="github_webhook", modes=GitHubListing)
