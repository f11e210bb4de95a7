"""Settling: carrying out the consequences of subscriptions that have ended. The `settle` sweep.

Ending needs no job: a subscription ends at its date. What is left to do is to close its cancellation, to write the
history and to queue the owner's mail. That is the same for every one of them, so it is done for a whole batch at
once: everything or nothing, rows that another sweep or an owner holds are left for the next run, and a kill in the
middle undoes the batch and no more.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import LiteralString

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.customers.history import ActorKind
from accounts.events import telling
from accounts.jobs import invariants, sweeps
from accounts.jobs.batches import run_batches
from accounts.models import Event
from subscriptions.ending.cancellation import Cancellation
from subscriptions.event_types import End
from subscriptions.subscription import NEAR, Subscription

#: Settled in one transaction. Larger batches hold their locks for longer and are slower (`make bench`).
BATCH = 5000
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: Beat settles every minute; after so long without, something is wrong.
OVERDUE = timedelta(minutes=15)

#: `ids` are the rows that the caller has locked. They come as an array, and not as a join with the selection, because
#: the planner knows how long an array is: with a join and no fresh statistics it chose nested loops, and a batch took
#: seconds instead of milliseconds. For the same reason the successor is looked up row by row, by its index. The history
#: says "over" as of the end, whenever the sweep comes: dates decide. Where another subscription begins then, or
#: within the second, nothing is over: the history says "renewed", and nobody is told that the account is on Free.
SETTLE: LiteralString = """
WITH settled AS (
    UPDATE subscriptions_subscription AS ended
       SET settled_at = %(at)s, next_reminder_at = NULL, last_error = ''
     WHERE id = ANY(%(ids)s)
    RETURNING id, account_id, external_id, plan_id, channel, interval, seats, started_at, ends_at, suspended_at,
        held_by, (
        SELECT next.id FROM subscriptions_subscription AS next
         WHERE next.account_id = ended.account_id
           AND next.started_at >= ended.ends_at AND next.started_at < ended.ends_at + make_interval(secs => %(near)s)
           AND next.ends_at IS DISTINCT FROM next.started_at AND next.id <> ended.id
         ORDER BY next.started_at LIMIT 1
    ) AS successor
), carried_out AS (
    UPDATE subscriptions_cancellation
       SET carried_out_at = %(at)s
     WHERE subscription_id = ANY(%(ids)s) AND withdrawn_at IS NULL AND carried_out_at IS NULL
    RETURNING id, subscription_id, reference, reason, effective_at
), told AS (
    INSERT INTO accounts_event (account_id, kind, at, actor_kind, facts)
    SELECT account_id, CASE WHEN successor IS NULL THEN 'subscription.ended' ELSE 'subscription.renewed' END,
           ends_at, 'system',
           jsonb_build_object('subscription', id, 'plan', plan_id, 'channel', channel)
           || CASE WHEN successor IS NULL THEN jsonb_build_object('plan_after', 'free')
                   ELSE jsonb_build_object('successor', successor) END
      FROM settled
    RETURNING id, account_id, kind, at, facts
), mailed AS (
INSERT INTO accounts_notice
       (id, account_id, recipient_id, kind, occasion, facts, queued_at, next_attempt_at, attempts, last_error)
SELECT gen_random_uuid(), settled.account_id, owner.user_id, 'subscriptions/subscription_ended',
       'subscription.ended:' || settled.id,
       jsonb_build_object(
           'plan', plan.name, 'channel', settled.channel, 'ended_at', settled.ends_at,
           'given_up', to_jsonb(ARRAY(SELECT unnest(plan.features) EXCEPT SELECT unnest(free.features) ORDER BY 1))
       ) || CASE WHEN wish.want <> 'end' OR wish.want IS NULL THEN '{}'
                 WHEN wish.agreed_at IS NOT NULL THEN jsonb_build_object('charge', 'stopped')
                 WHEN settled.held_by = '' THEN jsonb_build_object('charge', 'being_stopped')
                 ELSE jsonb_build_object('charge', 'being_stopped', 'paid_back', 'by itself') END,
       %(at)s, %(at)s, 0, ''
  FROM settled
  JOIN subscriptions_plan AS plan ON plan.code = settled.plan_id
  JOIN subscriptions_plan AS free ON free.code = 'free'
  JOIN accounts_account AS account ON account.id = settled.account_id AND account.purging_at IS NULL
  LEFT JOIN subscriptions_wish AS wish ON wish.subscription_id = settled.id
  JOIN accounts_membership AS owner ON owner.account_id = settled.account_id AND owner.role = 'owner'
 WHERE settled.successor IS NULL
ON CONFLICT DO NOTHING
)
SELECT told.id, told.account_id, told.kind, told.at,
       settled.id, settled.external_id, settled.plan_id, settled.channel, settled.interval, settled.seats,
       settled.started_at, settled.ends_at, settled.suspended_at,
       carried_out.reference, carried_out.reason, carried_out.effective_at
  FROM told
  JOIN settled ON settled.id = (told.facts ->> 'subscription')::bigint
  LEFT JOIN carried_out ON carried_out.subscription_id = settled.id
 ORDER BY settled.ends_at, settled.id
"""


def preview(at: datetime) -> Iterator[str]:
    """What `settle_due` would settle at `at`, a line each."""
    ended = Subscription.objects.ended(at).unsettled().select_related("account").order_by("ends_at", "pk")
    for subscription in ended.iterator():
        account, successor = subscription.account, subscription.successor
        yield (
            f"{account.pk} {account.name}: {subscription.plan_id} ended at "
            f"{subscription.ends_at:%Y-%m-%dT%H:%M:%SZ}, the account "
            + (f"goes on with {successor.plan_id}" if successor else "is on free")
        )


def settle_due(at: datetime) -> int:
    """Settle everything that has ended at `at` and is not settled yet. Returns how many subscriptions that was."""
    due = Subscription.objects.ended(at).unsettled().order_by("ends_at")
    return run_batches(due, lambda rows, batch: settle_some(at, batch=batch, due=rows), batch=BATCH, run=RUN)


def settle_some(at: datetime, *, batch: int, due: "QuerySet[Subscription] | None" = None) -> int:
    """Settle up to `batch` subscriptions, of those that are due, in one transaction. Returns how many."""
    if due is None:
        due = Subscription.objects.ended(at).unsettled().order_by("ends_at")
    with transaction.atomic(), connection.cursor() as cursor:
        # Skipped if held by an owner who is keeping the subscription just now, or by another sweep.
        ids = list(due.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:batch])
        if ids:
            cursor.execute(SETTLE, {"at": at, "ids": ids, "near": NEAR.total_seconds()})
            telling.tell([_line(*row) for row in cursor.fetchall()])
    return len(ids)


def _line(
    event: int,
    account_id: uuid.UUID,
    kind: str,
    at: datetime,
    subscription: int,
    external_id: str | None,
    plan: str,
    channel: str,
    interval: int,
    seats: int,
    started_at: datetime,
    ends_at: datetime,
    suspended_at: datetime | None,
    reference: str | None,
    reason: str,
    effective_at: datetime,
) -> Event:
    """The line of history that the statement has written, with what it tells of; at most one cancellation is open."""
    ended = Subscription(
        pk=subscription,
        account_id=account_id,
        external_id=external_id,
        plan_id=plan,
        channel=channel,
        interval=interval,
        seats=seats,
        started_at=started_at,
        ends_at=ends_at,
        suspended_at=suspended_at,
    )
    carried_out = (
        [Cancellation(reference=reference, reason=reason, effective_at=effective_at, subscription=ended)]
        if reference
        else []
    )
    line = Event(pk=event, account_id=account_id, kind=kind, at=at, actor_kind=ActorKind.SYSTEM)
    line.subject = End(ended, carried_out)
    return line


SWEEP = sweeps.Sweep("settle", run=settle_due, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    invariants.Invariant(
        "unsettled-subscription",
        _("subscriptions ended more than 15 minutes ago and still not settled"),
        lambda at: Subscription.objects.unsettled().filter(ends_at__lt=at - OVERDUE),
    ),
)
