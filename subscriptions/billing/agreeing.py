"""Making providers agree with what is wished: the sweep `wishes`.

A wish is claimed and its newest version read under its lock; the provider is asked outside of any transaction; what it
answered is noted under the locks, and only if nobody has wished anything else meanwhile. So a kill at any instant
leaves a wish that is asked again, and asking is safe to repeat (`subscriptions.billing.provider.Provider.agree`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import NotYet, run_overlapping
from accounts.mail import notices
from subscriptions import changes
from subscriptions.billing.holding import Holding
from subscriptions.billing.provider import REGISTRY, Agreement, WishRequest, own_way, provider_of
from subscriptions.billing.wish import Outcome, Want, Wish, WishQuerySet
from subscriptions.ending import reminders
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.refunds.decisions import charge_undone
from subscriptions.subscription import Subscription, locked_in_order

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: So many providers are waited for at once by a process; each needs a connection to the database (`DATABASES`).
THREADS = 8
#: From so long before the next charge on an open wish is red.
LATE_BEFORE = timedelta(hours=2)
#: The same where staff stop the charge by hand: a weekend, and it is still in time.
BY_HAND_LATE_BEFORE = timedelta(days=3)
#: A provider that has not agreed for so long is shown, however far the charge is.
OVERDUE = timedelta(hours=1)
#: How soon the same is asked again of who has said that something else must come first.
ASKED_AGAIN = timedelta(minutes=5)


def preview(at: datetime) -> Iterator[str]:
    """What `agree_due` would ask for at `at`, a line each."""
    for wish in Wish.objects.due(at).select_related("subscription__account").iterator():
        account = wish.subscription.account
        until = f" at {wish.wanted_end_at:%Y-%m-%dT%H:%M:%SZ}" if wish.wanted_end_at else ""
        code = provider_of(wish.subscription).code
        yield f"{account.pk} {account.name}: ask {code}: {wish.want.replace('_', ' ')}{until}"


def agree_due(at: datetime) -> int:
    """Ask for whatever is due at `at`. Returns how many wishes were agreed. One that fails holds up nobody."""
    return run_overlapping(Wish.objects.due, ask, at=at, run=RUN, threads=THREADS)


def ask(wish: Wish, at: datetime) -> bool:
    """Ask the provider of a wish that this worker has claimed. Returns whether it is agreed now.

    Raises what the provider raises; the row notes it. Not inside a transaction.
    """
    provider = provider_of(wish.subscription)
    request = sent(wish, at, by_itself=provider.stops_by_itself)
    if request is None:
        return False
    agreement = provider.agree(request)
    return note(request, agreement, at=at)


def sent(wish: Wish, at: datetime, *, by_itself: bool) -> WishRequest | None:
    """The newest version of the wish, noted as sent before it is: from here on a provider may have heard of it."""
    with transaction.atomic():
        newest = Wish.objects.locked().open().filter(pk=wish.pk).first()
        if newest is None:
            return None
        if by_itself and newest.sent_version != newest.version:
            newest.sent_version = newest.version
            newest.save(update_fields=["sent_version"])
        subscription = Subscription.objects.select_related("account").get(pk=wish.pk)
        holding = Holding.objects.filter(pk=wish.pk).first()
        cancellation = subscription.cancellations.order_by("-requested_at", "-pk").first()
        return WishRequest(
            subscription_id=subscription.pk,
            version=newest.version,
            want=newest.want,
            wanted_end_at=newest.wanted_end_at,
            at_once=newest.at_once,
            cause=newest.cause,
            feedback=newest.feedback,
            deadline_at=newest.deadline_at,
            wished_at=newest.wished_at,
            reference=holding.reference if holding else "",
            customer_reference=holding.customer_reference if holding else "",
            cancellation_reference=cancellation.reference if cancellation else "",
            order_reference=subscription.order_reference,
            external_id=subscription.external_id or "",
            account_id=subscription.account_id,
            account_external_id=subscription.account.external_id or "",
            at=at,
        )


def note(request: WishRequest, agreement: Agreement, *, at: datetime) -> bool:
    """Note what the provider answered. Returns whether the wish is agreed now.

    An answer to an older version changes nothing: the newer wish is due by itself. Raises `NotYet` for one that has to
    be asked again.
    """
    with transaction.atomic():
        subscription = locked_in_order(Subscription(pk=request.subscription_id, account_id=request.account_id))
        wish = Wish.objects.locked().get(pk=request.subscription_id)
        for paid_back in agreement.paid_back:
            # So it is, whichever version asked: the owner is told, and it is looked after until it has arrived.
            charge_undone(
                subscription,
                payment_reference=paid_back.payment_reference,
                provider_reference=paid_back.reference,
                cents=paid_back.cents,
                currency=paid_back.currency,
                at=at,
            )
        if wish.version != request.version or wish.agreed_at:
            return False
        wish.outcome, wish.answer = agreement.outcome, dict(agreement.facts)
        agreed = agreement.outcome in (Outcome.AGREED, Outcome.ENDED)
        if agreed:
            wish.agreed_at, wish.last_error = max(at, wish.wished_at), ""
        wish.save(update_fields=["outcome", "answer", "agreed_at", "last_error"])
        if agreed:
            _carry_over(subscription, wish, agreement, at)
    if not agreed:
        again_at = agreement.again_at or at + ASKED_AGAIN
        raise NotYet(str(Outcome(agreement.outcome).label), until=again_at, counts=False)
    return True


def _carry_over(subscription: Subscription, wish: Wish, agreement: Agreement, at: datetime) -> None:
    """What the answer means here, under the locks: history, and an end that is another than was wished."""
    kind = SubscriptionEvent.BILLING_STOPPED if wish.want == Want.END else SubscriptionEvent.BILLING_GOES_ON
    if wish.want == Want.GO_ON and agreement.outcome == Outcome.ENDED:
        _ended_there(subscription, agreement.ends_at or at, at)
        return
    history.record(
        subscription.account_id,
        kind,
        at=at,
        by=Actor.system(),
        subscription=subscription.pk,
        version=wish.version,
        outcome=wish.outcome,
    )
    promised, paid_until = wish.wanted_end_at, agreement.ends_at
    if promised and paid_until and paid_until > promised and not wish.at_once and not subscription.is_over(at):
        move_end(subscription, paid_until, at=at)


def _ended_there(subscription: Subscription, ended_at: datetime, at: datetime) -> None:
    """It was to go on, and had ended at the provider: it ends here, too, and the owner is told."""
    ended_at = max(subscription.started_at, min(ended_at, at))
    if not changes.end_locked(subscription, at=at, ends_at=ended_at, by=Actor.system()):
        return
    notices.queue(
        "subscriptions/subscription_ended",
        to=[subscription.account.owner()],
        account=subscription.account,
        occasion=f"subscription.ended:{subscription.pk}",
        at=at,
        plan=subscription.plan.name,
        channel=subscription.channel,
        ended_at=ended_at,
    )


def move_end(subscription: Subscription, ends_at: datetime, *, at: datetime) -> bool:
    """It is paid for until `ends_at`, later than was promised: it ends then, and the owner is told, once.

    In the caller's transaction, under the locks of account and subscription. Never earlier than promised: returns
    whether anything changed.
    """
    before = subscription.ends_at
    if before is None or ends_at <= before:
        return False
    reminders.set_end(subscription, ends_at, at=at)
    subscription.cancellations.open().update(effective_at=ends_at)
    history.record(
        subscription.account_id,
        SubscriptionEvent.END_MOVED,
        at=at,
        by=Actor.system(),
        subject=subscription,
        subscription=subscription.pk,
        ends_at=ends_at.isoformat(),
        ended_before_at=before.isoformat(),
    )
    notices.queue(
        "subscriptions/end_moved",
        to=[subscription.account.owner()],
        account=subscription.account,
        occasion=f"end_moved:{subscription.pk}:{ends_at:%Y%m%dT%H%M%S}",
        at=at,
        plan=subscription.plan.name,
        ended_before_at=before,
        ends_at=ends_at,
    )
    return True


def by_hand() -> Q:
    """Wishes that staff carry out in the payment system, because nobody does it by itself."""
    codes = [provider.code for provider in REGISTRY.all() if not provider.stops_by_itself]
    return Q(subscription__held_by__in=[*codes, *([""] if own_way() in codes else [])])


def late(at: datetime) -> WishQuerySet:
    """Open ones whose next charge comes soon, or has come."""
    soon = Q(deadline_at__lt=at + LATE_BEFORE) | (by_hand() & Q(deadline_at__lt=at + BY_HAND_LATE_BEFORE))
    return Wish.objects.open().filter(soon)


SWEEP = sweeps.Sweep("wishes", run=agree_due, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    invariants.Invariant(
        "wish-late",
        _("subscriptions that are to end or to go on, of which whoever charges has not agreed before the next charge"),
        late,
        shown_as="subscription",
    ),
    invariants.Invariant(
        "wish-overdue",
        _("wishes to a payment provider that it has not agreed to for an hour"),
        lambda at: Wish.objects.open().exclude(by_hand()).filter(wished_at__lt=at - OVERDUE),
        shown_as="subscription",
    ),
    invariants.Invariant(
        "wish-by-hand",
        _("renewals that somebody has to stop, or to let go on, in the payment system"),
        lambda at: Wish.objects.open().filter(by_hand()),
        shown_as="subscription",
        warning=True,
    ),
)
