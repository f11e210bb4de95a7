"""settle: how fast ended subscriptions are settled, against SQL written by hand.

At full scale 100,000 of 1,000,000 subscriptions end at one instant. Measured is the time from the first statement
until nothing is left, in seconds, of `subscriptions.ending.settling.settle_due` and of a plain statement a batch
through a bare connection; everything is committed and on disk. Each run begins on a fresh copy of the same database,
after a checkpoint, with an open connection. A run counts only if it wrote exactly what it should: the number of settled
subscriptions, carried out cancellations, events and notices, and a checksum over every value in them.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString

from django.db import connection as django_connection

from bench import filling
from bench.filling import ENDS, QUIET
from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.stage import Stage, say
from subscriptions.ending.settling import BATCH, settle_due

#: The goal of issue 2: at least half as fast as one hand-written statement a batch.
AT_LEAST = 0.5
#: Sizes among which the hand-written statement may choose its best.
BATCHES = (2_000, 20_000, 100_000)
COPY = "settle_run"

#: What an engineer would type who has only this to do. No skipping of locked rows, no minding of repeated notices.
REFERENCE: LiteralString = """
WITH ended AS (
    UPDATE subscriptions_subscription
       SET settled_at = %(at)s, next_reminder_at = NULL
     WHERE id IN (
           SELECT id FROM subscriptions_subscription
            WHERE settled_at IS NULL AND ends_at <= %(at)s
            ORDER BY ends_at
            LIMIT %(batch)s
     )
    RETURNING id, account_id, plan_id, channel, ends_at
), closed AS (
    UPDATE subscriptions_cancellation c
       SET carried_out_at = %(at)s
      FROM ended e
     WHERE c.subscription_id = e.id AND c.withdrawn_at IS NULL AND c.carried_out_at IS NULL
), history AS (
    INSERT INTO accounts_event (account_id, kind, at, actor_kind, facts)
    SELECT account_id, 'subscription.ended', ends_at, 'system',
           jsonb_build_object('subscription', id, 'plan', plan_id, 'channel', channel, 'plan_after', 'free')
      FROM ended
), mail AS (
    INSERT INTO accounts_notice
           (id, account_id, recipient_id, kind, occasion, facts, queued_at, next_attempt_at, attempts, last_error)
    SELECT gen_random_uuid(), e.account_id, m.user_id, 'subscriptions/subscription_ended',
           'subscription.ended:' || e.id,
           jsonb_build_object(
               'plan', p.name, 'channel', e.channel, 'ended_at', e.ends_at,
               'given_up', to_jsonb(ARRAY(SELECT unnest(p.features) EXCEPT SELECT unnest(f.features) ORDER BY 1))
           ),
           %(at)s, %(at)s, 0, ''
      FROM ended e
      JOIN accounts_membership m ON m.account_id = e.account_id AND m.role = 'owner'
      JOIN subscriptions_plan p ON p.code = e.plan_id
      JOIN subscriptions_plan f ON f.code = 'free'
)
SELECT count(*) FROM ended
"""

#: How many rows each table gained or changed, and a checksum over every value in them but random keys and the clock.
WRITTEN: LiteralString = """
SELECT 'subscriptions', count(*), sum(hashtextextended(to_jsonb(written)::text, 0)::numeric)
  FROM subscriptions_subscription AS written WHERE settled_at IS NOT NULL
UNION ALL
SELECT 'cancellations', count(*), sum(hashtextextended(to_jsonb(written)::text, 0)::numeric)
  FROM subscriptions_cancellation AS written WHERE carried_out_at IS NOT NULL
UNION ALL
SELECT 'events', count(*), sum(hashtextextended((to_jsonb(written) - 'id' - 'recorded_at')::text, 0)::numeric)
  FROM accounts_event AS written WHERE kind = 'subscription.ended'
UNION ALL
SELECT 'notices', count(*), sum(hashtextextended((to_jsonb(written) - 'id')::text, 0)::numeric)
  FROM accounts_notice AS written WHERE kind = 'subscriptions/subscription_ended'
 ORDER BY 1
"""


@dataclass(frozen=True)
class Run:
    """One settling of everything: total and longest statement in seconds, the log written in bytes, the checksums.

    A statement of the reference includes its commit, one of ours does not: milliseconds.
    """

    seconds: float
    longest: float
    wal: int
    written: tuple[tuple[Any, ...], ...]


def run(stage: Stage) -> Result:
    """Compare ours with the reference at our batch size and at its own best one."""
    scale = stage.scale
    source = filling.filled(stage, subscriptions=scale.subscriptions, ending=scale.ending)
    batches = sorted({*BATCHES, BATCH})
    say(f"settle: looking for the reference's best batch among {', '.join(map(str, batches))} …")
    tried = {batch: _measured(stage, source, partial(_reference, stage, batch)).seconds for batch in batches}
    best = min(tried, key=lambda batch: tried[batch])
    say(f"settle: {scale.rounds} rounds …")
    candidates: dict[str, Callable[[], Run]] = {
        "offboard": _ours,
        f"reference, {BATCH:,} a batch": partial(_reference, stage, BATCH),
    }
    if best != BATCH:
        candidates[f"reference, {best:,} a batch (its best)"] = partial(_reference, stage, best)
    runs = interleaved(
        scale.rounds,
        {name: partial(_measured, stage, source, settle) for name, settle in candidates.items()},
    )
    stage.drop(COPY)
    _require_the_same([run for found in runs.values() for run in found], scale.ending)
    return _result(runs, tried, scale.ending)


def _result(runs: dict[str, list[Run]], tried: dict[int, float], ending: int) -> Result:
    result = Result(facts={"subscriptions ending": ending, "seconds of the reference by batch, one run each": tried})
    times = {name: Samples(tuple(run.seconds for run in found)) for name, found in runs.items()}
    ours = times["offboard"]
    for name, found in runs.items():
        result.rows.append(Row(name, "subscriptions/s", times[name].each(lambda value: ending / value)))
        result.rows.append(Row("  longest statement", "ms", Samples(tuple(run.longest * 1000 for run in found))))
        result.rows.append(Row("  log written", "bytes each", Samples(tuple(run.wal / ending for run in found))))
        if name != "offboard":
            rounds = zip(times[name].values, ours.values, strict=True)
            result.rows.append(Row("  offboard / this, by round", "ratio", Samples(tuple(a / b for a, b in rounds))))
            result.goals.append(Goal(f"offboard / {name}", times[name].median / ours.median, at_least=AT_LEAST))
    return result


def _measured(stage: Stage, source: str, settle: Callable[[], Run]) -> Run:
    stage.copy(source, COPY)
    with stage.connect(COPY) as connection:
        connection.execute("CHECKPOINT")
    stage.use(COPY)
    return settle()


def _ours() -> Run:
    # Opens the connection; nothing is due yet.
    settle_due(QUIET)
    statements: list[float] = []
    with _timed(statements), django_connection.cursor() as cursor:
        before = _log_position(cursor)
        begun = time.perf_counter()
        settle_due(ENDS)
        taken = time.perf_counter() - begun
        wal = _log_position(cursor) - before
        cursor.execute(WRITTEN)
        return Run(taken, max(statements[1:-2]), wal, tuple(cursor.fetchall()))


def _reference(stage: Stage, batch: int) -> Run:
    statements: list[float] = []
    with stage.connect(COPY) as connection, connection.cursor() as cursor:
        cursor.execute(REFERENCE, {"at": QUIET, "batch": batch})
        before = _log_position(cursor)
        begun = time.perf_counter()
        while True:
            asked = time.perf_counter()
            cursor.execute(REFERENCE, {"at": ENDS, "batch": batch})
            row = cursor.fetchone()
            statements.append(time.perf_counter() - asked)
            if row is None or row[0] == 0:
                break
        taken = time.perf_counter() - begun
        wal = _log_position(cursor) - before
        cursor.execute(WRITTEN)
        return Run(taken, max(statements), wal, tuple(cursor.fetchall()))


def _timed(statements: list[float]) -> AbstractContextManager[None]:
    """Notes how long each statement of Django's connection takes, in seconds."""

    def note(execute: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            statements.append(time.perf_counter() - begun)

    return django_connection.execute_wrapper(note)


def _log_position(cursor: Any) -> int:
    cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(cursor.fetchone()[0])


def _require_the_same(runs: list[Run], ending: int) -> None:
    for run in runs:
        for (table, count, checksum), (_table, _count, expected) in zip(run.written, runs[0].written, strict=True):
            require(count == ending, f"{table}: {count} written instead of {ending}")
            require(checksum == expected, f"{table}: two candidates wrote different values")
