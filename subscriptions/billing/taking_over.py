"""What a provider says of a subscription is taken over: our rows are brought in line with it.

Dates, price and payments of a subscription that a provider holds are the provider's. What the owner or staff did there
counts as if it had been done here: with history, and a mail. Two things are ours: an end that was promised never comes
earlier, and what we wish and the provider has not agreed to yet wins over what it says (`subscriptions.billing.wish`).
Whatever no rule may decide becomes a finding, never an error.
"""

from datetime import datetime

from django.db import transaction

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.erasure import scheduling
from accounts.mail import notices
from accounts.models import Account
from accounts.support import deletion
from subscriptions import changes
from subscriptions.billing import agreeing
from subscriptions.billing.finding import Finding, find
from subscriptions.billing.holding import AskedBy, Held, HeldStatus, Holding
from subscriptions.billing.wish import Want, Wish, cause_of, want_end
from subscriptions.ending import cancelled_elsewhere
from subscriptions.ending.cancellation import Cancellation
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.plan import Interval, Plan
from subscriptions.starting import start
from subscriptions.subscription import Channel, Subscription, locked_in_order

#: A provider does of its own accord what it says: no person of ours acts.
PROVIDER = Actor.system()


def take_over(account: Account, held: Held, *, at: datetime, mailed: bool = True) -> Holding | None:
    """Bring what we hold in line with `held`, under account, subscription and wish. None for what grants nothing.

    An older picture (`read_at`) changes nothing. A second live subscription is a finding, never an error. Without
    `mailed` the owner is told nothing: it is an import of what they know.
    """
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if account.purging_at:
            return None
        holding = Holding.objects.filter(provider=held.provider, reference=held.reference).first()
        if holding is None:
            return _begin(account, held, at, mailed=mailed)
        if holding.subscription.account_id != account.pk:
            find("of-another-account", provider=held.provider, reference=held.reference, account=account, at=at)
            return None
        subscription = locked_in_order(holding.subscription)
        # As it is under the lock: somebody may have read it meanwhile.
        holding = Holding.objects.get(pk=subscription.pk)
        holding.subscription = subscription
        if held.read_at < holding.read_at:
            return holding
        _bring_in_line(subscription, holding, held, at, mailed=mailed)
    return holding


def _begin(account: Account, held: Held, at: datetime, *, mailed: bool) -> Holding | None:
    """What is live there and unknown here begins here; what has ended there, or has not begun, grants nothing."""
    if held.status in (HeldStatus.NOT_BEGUN, HeldStatus.ENDED):
        _no_second(held, at)
        return None
    others = Subscription.objects.of(account)
    if other := others.holding(at).order_by("started_at").first():
        find(
            "second-live-subscription",
            provider=held.provider,
            reference=held.reference,
            account=account,
            facts={"subscription": other.pk, "plan": held.plan_code, "status": held.status_word},
            at=at,
        )
        return None
    # Live there while another one ran here: from the end of that on, for the database allows one at a time.
    before = others.real().filter(ends_at__gt=held.started_at).order_by("-ends_at").first()
    began = max(held.started_at, before.ends_at) if before and before.ends_at else held.started_at
    began = min(began, at)
    trial_ends_at = held.trial_ends_at if held.trial_ends_at and held.trial_ends_at > began else None
    try:
        subscription = start(
            account,
            plan=Plan.objects.get(pk=held.plan_code),
            channel=Channel.DIRECT,
            interval=Interval(held.interval),
            seats=held.seats,
            cents=held.cents,
            currency=held.currency,
            trial_ends_at=trial_ends_at,
            starts_at=began,
            held_by=held.provider,
            by=PROVIDER,
            at=at,
        )
    except scheduling.TooLate:
        find("bought-while-erased", provider=held.provider, reference=held.reference, account=account, at=at)
        return None
    _no_second(held, at)
    holding = Holding(subscription=subscription, provider=held.provider, reference=held.reference, read_at=held.read_at)
    _note(holding, held)
    holding.save(force_insert=True)
    _bring_in_line(subscription, holding, held, at, mailed=mailed)
    return holding


def _no_second(held: Held, at: datetime) -> None:
    """It is no second one any more."""
    second = Finding.objects.open().filter(
        provider=held.provider, code="second-live-subscription", reference=held.reference
    )
    second.update(closed_at=at)


def _bring_in_line(subscription: Subscription, holding: Holding, held: Held, at: datetime, *, mailed: bool) -> None:
    """The rows of one subscription, all locked, as the provider says it is."""
    wish = Wish.objects.locked().filter(pk=subscription.pk).first()
    if subscription.is_over(at):
        _goes_on_though_over(subscription, held, wish, at)
    elif held.status == HeldStatus.ENDED:
        _period(subscription, held)
        _ended(subscription, held, wish, at, mailed=mailed)
    elif held.status != HeldStatus.NOT_BEGUN:
        changes.change_locked(
            subscription,
            plan_id=held.plan_code,
            interval=Interval(held.interval),
            seats=held.seats,
            cents=held.cents,
            at=at,
            by=PROVIDER,
        )
        _period(subscription, held)
        _suspension(subscription, held, at, mailed=mailed)
        if subscription.currency != held.currency:
            _find("currency-changed", subscription, held, at, currency=held.currency)
        # Noted before: what is wished from here on is wished of how it is now.
        _note(holding, held)
        holding.save()
        _end(subscription, held, wish, at, mailed=mailed)
    _note(holding, held)
    holding.save()


def _note(holding: Holding, held: Held) -> None:
    holding.customer_reference = held.customer_reference
    holding.status, holding.status_word = held.status, held.status_word
    holding.due_end_at, holding.asked_to_end_at = held.due_end_at, held.asked_to_end_at
    holding.read_at = held.read_at


def _period(subscription: Subscription, held: Held) -> None:
    """The provider's dates: it may move the anchor of its cycles, and the end of a trial."""
    subscription.period_started_at, subscription.period_ends_at = held.period_started_at, held.period_ends_at
    subscription.first_paid_at = held.first_paid_at or subscription.first_paid_at
    if held.trial_ends_at and held.trial_ends_at > subscription.started_at:
        subscription.trial_ends_at = subscription.anchor_at = held.trial_ends_at
    subscription.save(
        update_fields=["period_started_at", "period_ends_at", "first_paid_at", "trial_ends_at", "anchor_at"]
    )


def _suspension(subscription: Subscription, held: Held, at: datetime, *, mailed: bool) -> None:
    """Unpaid for good or paused: Free features from now on; paid or resumed: as before."""
    since: datetime | None
    if held.status == HeldStatus.SUSPENDED:
        since, until = subscription.suspended_at or held.suspended_at or at, held.suspended_until
    else:
        since, until = held.suspended_at, held.suspended_until
    if (since, until) == (subscription.suspended_at, subscription.suspended_until):
        return
    was_suspended = subscription.suspended_at is not None
    subscription.suspended_at, subscription.suspended_until = since, until
    subscription.save(update_fields=["suspended_at", "suspended_until"])
    if was_suspended == (since is not None):
        return
    kind = SubscriptionEvent.SUBSCRIPTION_SUSPENDED if since else SubscriptionEvent.SUBSCRIPTION_RESUMED
    history.record(
        subscription.account_id,
        kind,
        at=at,
        by=PROVIDER,
        subject=subscription,
        subscription=subscription.pk,
        status=held.status_word,
        **({"from": since.isoformat()} if since else {}),
    )
    owner = subscription.account.owner()
    if mailed and owner:
        notices.queue(
            f"subscriptions/subscription_{'suspended' if since else 'resumed'}",
            to=[owner],
            account=subscription.account,
            occasion=f"{kind}:{subscription.pk}:{(since or at):%Y%m%dT%H%M%S}",
            at=at,
            plan=subscription.plan.name,
            **({"suspended_at": since} if since else {}),
            **({"paused": True} if since and held.status_word != "unpaid" else {}),
        )


# Its end


def _ended(subscription: Subscription, held: Held, wish: Wish | None, at: datetime, *, mailed: bool) -> None:
    """It has ended there. Ours stands if it is earlier: the provider's own jobs may be minutes late."""
    ended_at = held.ended_at or at
    if subscription.ends_at is not None and subscription.ends_at <= ended_at:
        return
    if subscription.started_at > at:
        changes.call_off(subscription, at=at, by=PROVIDER)
        return
    promised = subscription.ends_at
    asked = subscription.cancellations.open().values_list("requested_at", flat=True)
    ended_at = min(at, max([ended_at, subscription.started_at, *asked]))
    wished = wish is not None and wish.want == Want.END and wish.at_once
    unpaid = held.asked_by in (AskedBy.UNPAID, AskedBy.CHARGED_BACK)
    # What we asked for is not staff's doing, though a provider can't tell our software from a person of theirs.
    asked_by = wish.cause if wish is not None and wish.want == Want.END and not unpaid else held.asked_by
    if not changes.end_locked(subscription, at=at, ends_at=ended_at, by=PROVIDER, reason=asked_by or "unknown"):
        return
    if promised and not wished:
        _find("ended-before-promised", subscription, held, at, promised=promised.isoformat())
    owner = subscription.account.owner()
    if mailed and owner:
        notices.queue(
            "subscriptions/subscription_ended",
            to=[owner],
            account=subscription.account,
            occasion=f"subscription.ended:{subscription.pk}",
            at=at,
            plan=subscription.plan.name,
            channel=subscription.channel,
            ended_at=ended_at,
            **({"unpaid": True} if unpaid else {}),
        )


def _end(subscription: Subscription, held: Held, wish: Wish | None, at: datetime, *, mailed: bool) -> None:
    """Whether, and when, it is due to end: what was done there is taken over, unless a wish of ours is still to be."""
    if wish is not None and wish.agreed_at is None:
        # Ours is younger, and is sent until it is agreed.
        return
    open_one = subscription.cancellations.open().first()
    due = held.due_end_at
    if due is not None and open_one is None and subscription.ends_at is None:
        _cancelled_there(subscription, held, due, wish, at, mailed=mailed)
    elif due is None and open_one is not None:
        _kept_there(subscription, open_one, held, wish, at, mailed=mailed)
    elif due is not None and open_one is not None:
        _moved_there(subscription, open_one, held, due, wish, at)


def _cancelled_there(
    subscription: Subscription, held: Held, due: datetime, wish: Wish | None, at: datetime, *, mailed: bool
) -> None:
    """Somebody cancelled at the provider: the owner on its page, staff, other software."""
    if due <= at:
        # It ends there just now: the next answer says so.
        return
    if wish is not None and wish.want == Want.GO_ON and held.asked_by != AskedBy.OWNER:
        _find("cancelled-elsewhere", subscription, held, at, ends_at=due.isoformat())
    cancelled_elsewhere.cancelled(
        subscription,
        effective_at=due,
        requested_at=min(held.asked_to_end_at or at, at),
        reason=held.feedback,
        comment=held.comment,
        by=PROVIDER,
        at=at,
        mailed=mailed,
    )


def _kept_there(
    subscription: Subscription, cancellation: Cancellation, held: Held, wish: Wish | None, at: datetime, *, mailed: bool
) -> None:
    """A cancellation was undone at the provider: the later act counts, and staff see that it was not the owner's.

    Not what nobody may undo there: a deletion of the account, a refund.
    """
    if subscription.ends_at is None or subscription.ends_at <= at:
        return
    must_end = deletion.scheduled(subscription.account) or subscription.refunds.approved().exists()
    if wish is not None or must_end:
        _find("cancellation-undone-elsewhere", subscription, held, at, promised=subscription.ends_at.isoformat())
    if must_end:
        _wish_again(subscription, wish, at)
        return
    cancelled_elsewhere.kept(subscription, cancellation, by=PROVIDER, at=at, mailed=mailed)
    # What we last wished is no longer what is wanted: nothing is left to be sent for it.
    Wish.objects.filter(pk=subscription.pk).delete()


def _wish_again(subscription: Subscription, wish: Wish | None, at: datetime) -> None:
    ends_at = subscription.ends_at
    assert ends_at is not None
    if wish is None:
        want_end(subscription, ends_at, cause=cause_of(PROVIDER), at=at)
        return
    Wish.objects.filter(pk=wish.pk).update(
        version=wish.version + 1, wished_at=at, next_attempt_at=at, agreed_at=None, outcome="", attempts=0
    )


def _moved_there(
    subscription: Subscription, cancellation: Cancellation, held: Held, due: datetime, wish: Wish | None, at: datetime
) -> None:
    """It is due to end there at another instant than here."""
    ours = subscription.ends_at
    if ours is None or ours.replace(microsecond=0) == due.replace(microsecond=0) or due <= at:
        return
    if due < ours and (cancellation.requested_by_id is not None or wish is not None):
        # Never before what was promised: access stays as we said, whatever is charged for.
        _find("ends-before-promised", subscription, held, at, promised=ours.isoformat(), ends_at=due.isoformat())
        return
    if due > ours:
        agreeing.move_end(subscription, due, at=at)
        return
    cancelled_elsewhere.moved(subscription, cancellation, due, by=PROVIDER, at=at)


def _goes_on_though_over(subscription: Subscription, held: Held, wish: Wish | None, at: datetime) -> None:
    """It is over here. If it is to go on there, nobody may be charged for what nobody has."""
    if held.status == HeldStatus.ENDED or held.status == HeldStatus.NOT_BEGUN:
        return
    if wish is not None and wish.agreed_at is None:
        return
    ends_at = subscription.ends_at
    if ends_at is None or (held.due_end_at is not None and held.due_end_at <= at):
        # Its job is minutes late.
        return
    _find("goes-on-though-ended", subscription, held, at, ended_at=ends_at.isoformat(), status=held.status_word)


def _find(code: str, subscription: Subscription, held: Held, at: datetime, **facts: str) -> None:
    """A finding about this subscription; the same is not told twice while it is so, also when staff have closed it."""
    find(
        code,
        provider=held.provider,
        reference=held.reference,
        account=subscription.account,
        facts={"subscription": subscription.pk, **facts},
        at=at,
    )


def is_behind(subscription: Subscription, holding: Holding, held: Held) -> bool:
    """Whether the provider says something else than was last taken over: then its customer is due for a check."""
    ours = (
        holding.status,
        holding.status_word,
        holding.due_end_at,
        holding.customer_reference,
        subscription.plan_id,
        subscription.interval,
        subscription.seats,
        subscription.cents,
        subscription.period_started_at,
        subscription.period_ends_at,
    )
    theirs = (
        held.status,
        held.status_word,
        held.due_end_at,
        held.customer_reference,
        held.plan_code,
        held.interval,
        held.seats,
        held.cents,
        held.period_started_at,
        held.period_ends_at,
    )
    if holding.status == HeldStatus.ENDED and held.status == HeldStatus.ENDED:
        return False
    return ours != theirs
