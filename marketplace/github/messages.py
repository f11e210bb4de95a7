"""What GitHub says, applied to the account here: webhooks as they come, and GitHub's own answer, which decides.

A webhook is a hint (design, idea 7). It is applied at once as far as that can be undone, and GitHub is asked
afterwards (`marketplace.github.checks`). All of it runs in the caller's transaction and makes no calls to elsewhere.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from accounts.customers import history
from accounts.customers.history import Actor, ActorKind
from accounts.erasure import purge
from accounts.mail import notices
from accounts.models import Account
from marketplace import inbox
from marketplace.delivery import Delivery, Outcome
from marketplace.github.customer import Customer
from marketplace.github.listing import ListingPlan, learn
from marketplace.github.payloads import (
    ACTIONS,
    Message,
    PendingChange,
    Purchase,
    Unreadable,
    message_in,
    read_message,
)
from marketplace.github.tokens import UserToken
from marketplace.offboarding import offboarding
from subscriptions.changes import change, end_locked, end_now
from subscriptions.models import Channel, Interval, Subscription
from subscriptions.starting import start

GITHUB = Actor(ActorKind.MARKETPLACE)
#: GitHub's redelivery window is three days; a body that comes again within it is a copy (reference, 2.7).
REPEAT_WINDOW = timedelta(days=3)
#: Keeps the advisory locks of this module apart from others.
LOCK = 7301


def handle(delivery: Delivery, at: datetime) -> Outcome:
    """Process one GitHub delivery: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    if delivery.event == "ping":
        return Outcome.NO_CHANGE
    if delivery.event != "marketplace_purchase":
        return Outcome.UNKNOWN
    if delivery.body is None:
        raise inbox.Unprocessable("The body is no longer kept.")
    raw = message_in(bytes(delivery.body), delivery.content_type)
    delivery.action = str(raw.get("action", ""))[:100]
    if delivery.action not in ACTIONS:
        return Outcome.UNKNOWN
    try:
        message = read_message(raw)
    except Unreadable as error:
        raise inbox.Unprocessable(str(error)) from error
    customer = lock_customer(message.purchase.buyer.id)
    delivery.marketplace_account = str(message.purchase.buyer.id)
    if message.unreadable:
        delivery.alert = f"Could not read: {', '.join(message.unreadable)}. Applied as of its receipt."
    outcome, customer = _apply(message, customer, delivery, at)
    delivery.account_id = customer.account_id if customer else None
    return outcome


def lock_customer(github_id: int) -> Customer | None:
    """This customer, ours alone until the transaction ends; also when there is none yet, so that none is made twice."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashint8(%s))", [LOCK, github_id])
    return Customer.objects.locked().select_related("account", "listing_plan").filter(github_id=github_id).first()


def _apply(
    message: Message, customer: Customer | None, delivery: Delivery, at: datetime
) -> tuple[Outcome, Customer | None]:
    """What comes of a message, and the customer as it is then."""
    if customer and _came_before(delivery):
        customer.ask_again(at)
        customer.save()
        return Outcome.REPEATED, customer
    if message.action == "cancelled":
        return _cancelled(message, customer, delivery, at), customer
    if message.action == "purchased":
        if customer and _is_older(message.effective_at, customer.cancelled_at and customer.effective_at):
            customer.heard_of(at)
            customer.save()
            return Outcome.STALE, customer
        return Outcome.APPLIED, _held(message, customer, at)
    if customer is None:
        # A change of something whose beginning we missed: what it says now is held all the same.
        return Outcome.APPLIED, _held(message, None, at)
    customer.heard_of(at)
    if customer.cancelled_at or _is_older(message.effective_at, customer.effective_at):
        customer.save()
        return Outcome.STALE, customer
    if message.action == "changed":
        _held(message, customer, at)
    elif message.action == "pending_change":
        customer.pending_since, customer.pending_effective_at, customer.pending_plan = at, message.effective_at, None
        customer.save()
    else:
        customer.pending_since = customer.pending_effective_at = customer.pending_plan = None
        customer.save()
    return Outcome.APPLIED, customer


def _held(message: Message, customer: Customer | None, at: datetime) -> Customer:
    return hold(message.purchase, customer, effective_at=message.effective_at, heard=True, at=at)


def _came_before(delivery: Delivery) -> bool:
    """Whether the same body was processed under another id: a copy, or a capture sent again with an invented id."""
    return (
        Delivery.objects.filter(
            source=delivery.source,
            digest=delivery.digest,
            received_at__gte=delivery.received_at - REPEAT_WINDOW,
            processed_at__isnull=False,
        )
        .exclude(pk=delivery.pk)
        .exists()
    )


def _is_older(effective_at: datetime | None, known: datetime | None) -> bool:
    """Whether a message is of an earlier day. Dates are midnights: of two events of one day nobody knows the order."""
    return effective_at is not None and known is not None and effective_at.date() < known.date()


def _cancelled(message: Message, customer: Customer | None, delivery: Delivery, at: datetime) -> Outcome:
    if customer is None:
        return Outcome.NO_CHANGE
    customer.heard_of(at)
    if customer.cancelled_at is None and _is_older(message.effective_at, customer.effective_at):
        customer.save()
        return Outcome.STALE
    if customer.cancelled_at:
        customer.save()
        return Outcome.NO_CHANGE
    customer.effective_at = message.effective_at or customer.effective_at
    let_go(customer, cause=offboarding.Cause.CANCELLED, received_at=delivery.received_at, at=at)
    return Outcome.APPLIED


def hold(
    purchase: Purchase,
    customer: Customer | None,
    *,
    effective_at: datetime | None = None,
    pending: PendingChange | None = None,
    heard: bool,
    at: datetime,
) -> Customer:
    """The customer holds this purchase: make or update account, customer and subscription; call an offboarding off.

    `heard`: by webhook, so that GitHub is asked afterwards. Once a purge has begun the customer gets a fresh account.
    """
    listing_plan = learn(purchase.plan)
    if customer and customer.cancelled_at:
        # Bought again: what became of the purchase before says nothing about this one.
        customer.subscription = None
    if customer is None:
        account = Account.objects.create(name=purchase.buyer.login or f"GitHub {purchase.buyer.id}", created_at=at)
        customer = Customer(github_id=purchase.buyer.id, account=account)
    else:
        try:
            if offboarding.call_off(customer.account, because="purchased", at=at, by=GITHUB):
                customer.authorisation_needed_at = None if _is_authorised(customer) else at
        except purge.TooLate:
            customer.account = Account.objects.create(name=purchase.buyer.login or "GitHub", created_at=at)
            customer.subscription = None
    customer.login, customer.kind = purchase.buyer.login or customer.login, purchase.buyer.kind[:20]
    customer.listing_plan, customer.yearly, customer.seats = listing_plan, purchase.yearly, purchase.seats
    customer.trial_ends_at = purchase.trial_ends_at if purchase.on_trial else None
    customer.next_billing_at = purchase.next_billing_at
    customer.effective_at = effective_at or customer.effective_at
    customer.cancelled_at = customer.absent_since = None
    customer.pending_since = customer.pending_effective_at = customer.pending_plan = None
    if pending:
        customer.pending_since, customer.pending_effective_at = at, pending.effective_at
        customer.pending_plan = learn(pending.plan) if pending.plan else None
    if heard:
        customer.heard_of(at)
    _subscribe(customer, listing_plan, at)
    customer.save()
    return customer


def _is_authorised(customer: Customer) -> bool:
    """Whether we still hold a token of somebody in the account."""
    return UserToken.objects.alive().filter(user__memberships__account=customer.account).exists()


def _subscribe(customer: Customer, listing_plan: ListingPlan, at: datetime) -> None:
    """Have the subscription of this purchase say what the customer holds: that one, and no other of the account.

    One that was ended here while GitHub goes on with the purchase stays ended: somebody at the desk decided so, and it
    holds until the customer buys again (`hold` begins a purchase anew then).
    """
    interval = Interval.ANNUAL if customer.yearly else Interval.MONTHLY
    cents = listing_plan.yearly_cents if customer.yearly else listing_plan.monthly_cents
    current = _current(customer)
    if current and current.ends_at is None:
        change(
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
    if other := Subscription.objects.of(customer.account).holding(at).order_by("started_at").first():
        raise inbox.Unprocessable(
            f"The account has a subscription bought through {other.channel}: a double purchase, report it to GitHub."
        )
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


def _current(customer: Customer) -> Subscription | None:
    """The subscription that this purchase began, live or ended, locked."""
    if customer.subscription_id is None:
        return None
    return Subscription.objects.locked().filter(pk=customer.subscription_id).first()


def let_go(customer: Customer, *, cause: offboarding.Cause, received_at: datetime, at: datetime) -> None:
    """The customer holds nothing at GitHub any more: end the subscription of that purchase, and no other.

    If nothing else holds the account, now or ahead, its offboarding begins, and the owner is told so (design, idea 12).
    If something does, such as a contract entered meanwhile, the account stays with all that is in it.
    """
    customer.cancelled_at, customer.absent_since = at, None
    customer.pending_since = customer.pending_effective_at = customer.pending_plan = None
    customer.authorisation_needed_at = None
    customer.save()
    # Account first, as everywhere.
    account = Account.objects.select_for_update(no_key=True).get(pk=customer.account_id)
    current = _current(customer)
    if Subscription.objects.of(account).holding(at).exclude(pk=customer.subscription_id).exists():
        if current:
            end_now(current, at=at, by=GITHUB)
        history.record(account.pk, "github.left", at=at, by=GITHUB, cause=cause)
        return
    if current:
        end_locked(current, at=max(at, current.started_at), by=GITHUB)
    begun, _new = offboarding.begin(account, cause=cause, received_at=received_at, at=at, by=GITHUB)
    notices.queue(
        f"marketplace/github_{settings.GITHUB_CANCELLATION}",
        to=[account.owner()],
        account=account,
        occasion=f"offboarding.begun:{begun.pk}",
        at=at,
        deadline_at=begun.deadline_at,
        upgrade_url=marketplace_url(),
    )


def marketplace_url() -> str:
    """Our page at GitHub Marketplace, where a customer can buy again."""
    return f"{settings.GITHUB_WEB_URL}/marketplace/{settings.GITHUB_LISTING_SLUG}"
