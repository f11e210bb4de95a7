"""Reminders that a subscription is about to end: the `remind` sweep.

Each subscription knows when its next reminder is due; `set_end` is the one place that changes an end, and keeps
that instant beside it. If the sweep was away for days, the owner gets the most urgent reminder that fell due
meanwhile, not all of them at once.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.jobs import invariants, sweeps
from accounts.jobs.batches import run_batches
from accounts.mail import notices
from accounts.models import Account, Notice
from subscriptions.subscription import Channel, Subscription

#: Days before the end. A cancellation was the owner's own; a contract that runs out needs time to be renewed: a
#: quarter of a year is what a purchasing department takes.
DAYS_BEFORE: dict[str, tuple[int, ...]] = {
    Channel.DIRECT: (7, 1),
    Channel.DATADOG_SALES: (90, 60, 30, 7),
}
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: A reminder that is still not queued so long after it fell due is shown to staff.
OVERDUE = timedelta(hours=1)
#: Reminded in one transaction.
BATCH = 500


def next_reminder(channel: str, ends_at: datetime | None, after: datetime) -> datetime | None:
    """The first reminder of an end at `ends_at` that falls due later than `after`; None if there is none left."""
    if ends_at is None:
        return None
    instants = (ends_at - timedelta(days=days) for days in DAYS_BEFORE.get(channel, ()))
    return min((instant for instant in instants if instant > after), default=None)


def set_end(subscription: Subscription, ends_at: datetime | None, *, at: datetime) -> None:
    """Set when a subscription ends, and with it the next reminder. The caller holds the lock."""
    subscription.ends_at = ends_at
    subscription.next_reminder_at = next_reminder(subscription.channel, ends_at, at)
    subscription.save(update_fields=["ends_at", "next_reminder_at"])


def preview(at: datetime) -> Iterator[str]:
    """Whom `remind_due` would remind at `at`, a line each."""
    for subscription in Subscription.objects.reminder_due(at).select_related("account").order_by("pk").iterator():
        account = subscription.account
        yield f"{account.pk} {account.name}: remind that it ends at {subscription.ends_at:%Y-%m-%dT%H:%M:%SZ}"


def remind_due(at: datetime) -> int:
    """Queue every reminder that is due at `at` and not yet queued. Returns how many."""
    due = Subscription.objects.reminder_due(at).order_by("next_reminder_at", "pk")
    return run_batches(due, lambda rows, batch: _remind_some(rows, batch, at), batch=BATCH, run=RUN)


def _remind_some(due: "models.QuerySet[Subscription]", size: int, at: datetime) -> int:
    with transaction.atomic():
        batch = list(
            due.select_related("account", "plan").select_for_update(skip_locked=True, no_key=True, of=("self",))[:size]
        )
        owners = Account.objects.filter(pk__in=[subscription.account_id for subscription in batch]).owners()
        drafts: list[Notice] = []
        for subscription in batch:
            assert subscription.ends_at is not None
            days = _most_urgent(subscription, at)
            drafts += notices.draft(
                "subscriptions/ending_soon",
                to=[owners.get(subscription.account_id)],
                account=subscription.account,
                # The end is part of the occasion: a contract that was extended is reminded of again.
                occasion=f"ending:{subscription.pk}:{subscription.ends_at:%Y%m%dT%H%M%S}:{days}",
                at=at,
                plan=subscription.plan.name,
                channel=subscription.channel,
                ends_at=subscription.ends_at,
            )
            subscription.next_reminder_at = next_reminder(subscription.channel, subscription.ends_at, at)
            subscription.last_error = ""
        notices.store(drafts)
        Subscription.objects.bulk_update(batch, ["next_reminder_at", "last_error"])
    return len(batch)


def _most_urgent(subscription: Subscription, at: datetime) -> int:
    """The smallest number of days before the end whose reminder has fallen due."""
    assert subscription.ends_at is not None
    return min(days for days in DAYS_BEFORE[subscription.channel] if subscription.ends_at - timedelta(days=days) <= at)


SWEEP = sweeps.Sweep("remind", run=remind_due, preview=preview, late_after=timedelta(minutes=15), alone=True)

INVARIANTS = (
    invariants.Invariant(
        "reminder-overdue",
        _("reminders due for more than an hour and still not queued"),
        lambda at: Subscription.objects.reminder_due(at).filter(next_reminder_at__lt=at - OVERDUE),
    ),
)
