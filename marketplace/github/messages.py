"""What GitHub says, applied to the account here: webhooks as they come, and GitHub's own answer, which decides.

A webhook is a hint (design, idea 7). It is applied at once as far as that can be undone, and GitHub is asked
afterwards (`marketplace.github.checks`). What contradicts GitHub's last word is not applied at all: a purchase by
somebody who has cancelled, a cancellation of the day of a new purchase or of a day to come. GitHub is asked, and its
answer applied; so a message that is late, or captured and sent again, changes nothing, and a clock that runs is stopped
by GitHub alone. All of it runs in the caller's transaction and makes no calls to elsewhere.
"""

from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings

from accounts.core import locks
from accounts.core.locks import Lock
from accounts.customers import history
from accounts.customers.history import Actor, ActorKind
from accounts.erasure import scheduling
from accounts.inbox.delivery import Delivery, DeliveryOutcome, Unprocessable
from accounts.inbox.sources import InboxSource
from accounts.mail import notices
from accounts.models import Account
from marketplace import tombstone
from marketplace.event_kinds import MarketplaceEvent
from marketplace.github import authorisation, client
from marketplace.github.customer import Doubt, GitHubCustomer
from marketplace.github.listing import ListingPlan, learn
from marketplace.github.payloads import (
    ACTIONS,
    PendingChange,
    Purchase,
    PurchaseMessage,
    UnreadablePayload,
    message_in,
    read_message,
)
from marketplace.github.signature import GitHubListing
from marketplace.github.tokens import UserToken
from marketplace.offboarding import offboarding
from marketplace.tombstone import Marketplace
from subscriptions.changes import change_locked, end_locked, end_now
from subscriptions.models import Channel, Interval, Subscription
from subscriptions.starting import start

GITHUB = Actor(ActorKind.MARKETPLACE)
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


def lock_customer(github_id: int, *, new: bool = False) -> GitHubCustomer | None:
    """This customer, ours alone until the transaction ends, after its account, as everywhere (`accounts.core.locks`).

    Also when there is none yet, so that none is made twice; `new`: that is probably so, and it is looked for once.
    """
    accounts = Account.objects.select_for_update(no_key=True, of=("self",)).filter(github_customer__github_id=github_id)
    account = None if new else accounts.first()
    if account is None:
        locks.take(Lock.GITHUB_CUSTOMER, github_id)
        account = accounts.first()
    if account is None:
        return None
    customer = GitHubCustomer.objects.locked().filter(github_id=github_id).first()
    if customer and customer.account_id == account.pk:
        # Already read, and as it is now.
        customer.account = account
    elif customer:
        # Given a fresh account while we waited: nobody erases that one, so nobody waits for us.
        customer.account = Account.objects.select_for_update(no_key=True).get(pk=customer.account_id)
    return customer


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
    message: PurchaseMessage, purchase: Purchase, customer: GitHubCustomer, delivery: Delivery, at: datetime
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
    purchase: Purchase, effective_on: date | None, customer: GitHubCustomer, at: datetime
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
    current = _current(customer)
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


def hold(
    purchase: Purchase,
    customer: GitHubCustomer | None,
    *,
    effective_on: date | None = None,
    pending: PendingChange | None = None,
    heard: bool,
    anew: bool = False,
    at: datetime,
) -> GitHubCustomer:
    """The customer holds this purchase: make or update account, customer and subscription; call an offboarding off.

    `heard`: by webhook, so that GitHub is asked afterwards. `anew`: it is another purchase than the one before; who
    had cancelled has bought anew in any case. Once a purge has begun the customer gets a fresh account.
    """
    listing_plan = learn(purchase.plan)
    known = customer.account_id if customer else None
    if customer is None:
        account = Account.objects.create(name=purchase.buyer.login or f"GitHub {purchase.buyer.id}", created_at=at)
        customer = GitHubCustomer(github_id=purchase.buyer.id, account=account)
    elif customer.cancelled_at or anew:
        # What became of the purchase before says nothing about this one.
        customer.subscription = None
        customer.bought_again_on = effective_on or customer.bought_again_on or at.date()
        effective_on = customer.bought_again_on
        try:
            if offboarding.call_off(customer.account, because="purchased", at=at, by=GITHUB):
                customer.authorisation_needed_at = None if _is_authorised(customer) else at
        except scheduling.TooLate:
            customer.account = Account.objects.create(name=purchase.buyer.login or "GitHub", created_at=at)
    customer.login, customer.kind = purchase.buyer.login or customer.login, purchase.buyer.kind[:20]
    customer.listing_plan, customer.yearly, customer.seats = listing_plan, purchase.yearly, purchase.seats
    customer.trial_ends_on = purchase.trial_ends_on if purchase.on_trial else None
    customer.next_billing_on = purchase.next_billing_on
    customer.effective_on = effective_on or customer.effective_on
    customer.cancelled_at = customer.absent_since = None
    customer.forget_pending()
    if pending:
        customer.pending_since, customer.pending_effective_on = at, pending.effective_on
        customer.pending_plan = learn(pending.plan) if pending.plan else None
        customer.pending_seats = pending.seats
    if customer.doubt_until and at >= customer.doubt_until:
        customer.forget_doubt()
    if heard:
        customer.heard_of(at)
    _subscribe(customer, listing_plan, new_account=customer.account_id != known, at=at)
    customer.save()
    return customer


def _is_authorised(customer: GitHubCustomer) -> bool:
    """Whether we still hold a token of somebody in the account."""
    return UserToken.objects.alive().filter(user__memberships__account=customer.account).exists()


def _subscribe(customer: GitHubCustomer, listing_plan: ListingPlan, *, new_account: bool, at: datetime) -> None:
    """Have the subscription of this purchase say what the customer holds: that one, and no other of the account.

    One that was ended here while GitHub goes on with the purchase stays ended: somebody at the desk decided so, and it
    holds until the customer buys again (`hold` begins a purchase anew then). Where another subscription holds the
    account, none begins: a double purchase, which the row says until it is sorted out.
    """
    interval = Interval.ANNUAL if customer.yearly else Interval.MONTHLY
    cents = listing_plan.yearly_cents if customer.yearly else listing_plan.monthly_cents
    current = _current(customer)
    if current and current.ends_at is None:
        change_locked(
            current,
            plan_id=listing_plan.granted_plan_id,
            interval=interval,
            seats=customer.seats,
            cents=cents,
            at=at,
            by=GITHUB,
        )
        return
    if current:
        return
    if not new_account and Subscription.objects.of(customer.account).holding(at).exists():
        # Said by the row, shown to staff, and looked at again with GitHub's next answer.
        customer.conflict_since = customer.conflict_since or at
        return
    customer.conflict_since = None
    customer.subscription = start(
        customer.account,
        plan=listing_plan.granted_plan,
        channel=Channel.GITHUB_MARKETPLACE,
        interval=interval,
        seats=customer.seats,
        cents=cents,
        by=GITHUB,
        at=at,
    )


def _current(customer: GitHubCustomer) -> Subscription | None:
    """The subscription that this purchase began, live or ended, locked."""
    if customer.subscription_id is None:
        return None
    return Subscription.objects.locked().filter(pk=customer.subscription_id).first()


def let_go(
    customer: GitHubCustomer, *, cause: offboarding.OffboardingCause, received_at: datetime, at: datetime
) -> None:
    """The customer holds nothing at GitHub any more: end the subscription of that purchase, and no other.

    The caller has locked both (`lock_customer`).
    If nothing else holds the account, now or ahead, its offboarding begins, and the owner is told so (design, idea 12).
    If something does, such as a contract entered meanwhile, the account stays with all that is in it.
    """
    customer.cancelled_at, customer.absent_since = at, None
    customer.forget_pending()
    customer.forget_doubt()
    customer.authorisation_needed_at = customer.conflict_since = None
    customer.save()
    account = customer.account
    found = {each.pk: each for each in Subscription.objects.of(account).holding(at).locked()}
    # None, where it has ended already: nothing is left to end.
    current = found.pop(customer.subscription_id, None) if customer.subscription_id else None
    if found:
        if current:
            end_now(current, at=at, by=GITHUB)
        history.record(account.pk, MarketplaceEvent.GITHUB_LEFT, at=at, by=GITHUB, cause=cause)
        return
    with history.written_together():
        if current:
            end_locked(current, at=max(at, current.started_at), by=GITHUB)
        begun, _new = offboarding.begin(account, cause=cause, received_at=received_at, at=at, by=GITHUB)
    # None, where somebody bought and left without ever coming here.
    if owner := account.owner():
        notices.queue(
            f"marketplace/github_{settings.GITHUB_CANCELLATION}",
            to=[owner],
            account=account,
            occasion=f"offboarding.begun:{begun.pk}",
            at=at,
            due_at=offboarding.erased_from(begun),
            upgrade_url=marketplace_url(),
        )


def marketplace_url() -> str:
    """Our page at GitHub Marketplace, where a customer can buy again."""
    return f"{settings.GITHUB_WEB_URL}/marketplace/{settings.GITHUB_LISTING_SLUG}"


SOURCE = InboxSource("github", "GitHub", handle, door="github_webhook", modes=GitHubListing)
