"""What becomes of attempts: dispatches are delivered, wait, or are given up; lanes are free again; endpoints are well,
or fail, and their people are told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from django.db import connection, transaction

from accounts.customers import staff
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor, record
from accounts.events.attempt import Attempt
from accounts.events.dispatch import STEPS_ASIDE_AFTER, Dispatch
from accounts.events.endpoint import OFF_AFTER, WARNED_AFTER, Endpoint, OffReason
from accounts.mail import notices

#: A success is noted on its endpoint at most so often.
NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Outcome:
    """What a sender has done with a lane: which dispatches it has tried, with how many failures behind each.

    Without any the lane is only given back. A test has no lane.
    """

    endpoint: Endpoint
    lane_id: int | None
    tried: Sequence[tuple[int, int, Attempt]] = ()


#: Of rows that a purge is deleting just now nothing is noted: they are gone before anybody could send them again.
_DISPATCHES: LiteralString = """
WITH held AS (
    SELECT id FROM accounts_dispatch
     WHERE id = ANY(%(ids)s) AND delivered_at IS NULL AND given_up_at IS NULL
     ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE accounts_dispatch AS dispatch
   SET tried_at = %(at)s, attempts = tried.attempts, next_attempt_at = tried.next_attempt_at,
       delivered_at = tried.delivered_at, given_up_at = tried.given_up_at, status = tried.status,
       seconds = tried.seconds, answer = tried.answer, last_error = tried.why
  FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(next)s::timestamptz[], %(delivered)s::timestamptz[],
              %(given_up)s::timestamptz[], %(statuses)s::int[], %(seconds)s::float[], %(answers)s::text[],
              %(whys)s::text[])
       AS tried(id, attempts, next_attempt_at, delivered_at, given_up_at, status, seconds, answer, why)
  JOIN held ON held.id = tried.id
 WHERE dispatch.id = tried.id
"""

_HOLD_LANES: LiteralString = (
    "SELECT id FROM accounts_lane WHERE id = ANY(%(lanes)s) ORDER BY endpoint_id, account_id FOR NO KEY UPDATE"
)

#: A statement after the lock: what was fanned out into these lanes meanwhile is seen. Looked at is what is to come up
#: to the first message that holds up the others.
_FREE_LANES: LiteralString = """
UPDATE accounts_lane AS lane
   SET leased_until = NULL,
       next_attempt_at = (
        SELECT min(waiting.next_attempt_at) FROM accounts_dispatch AS waiting
         WHERE waiting.endpoint_id = lane.endpoint_id AND waiting.account_id = lane.account_id
           AND waiting.delivered_at IS NULL AND waiting.given_up_at IS NULL
           AND waiting.id <= coalesce((
            SELECT first.id FROM accounts_dispatch AS first
             WHERE first.endpoint_id = lane.endpoint_id AND first.account_id = lane.account_id
               AND first.delivered_at IS NULL AND first.given_up_at IS NULL AND first.attempts < %(aside)s
             ORDER BY first.id LIMIT 1
           ), 9223372036854775807)
       )
 WHERE lane.id = ANY(%(lanes)s)
"""


def note(outcomes: Sequence[Outcome], *, at: datetime) -> None:
    """Write down what came of these, in one transaction."""
    if not outcomes:
        return
    lanes = [outcome.lane_id for outcome in outcomes if outcome.lane_id is not None]
    rows = [_row(dispatch, failed, one, at, outcome) for outcome in outcomes for dispatch, failed, one in outcome.tried]
    with transaction.atomic():
        with connection.cursor() as cursor:
            if lanes:
                cursor.execute(_HOLD_LANES, {"lanes": lanes})
            if rows:
                names = ("ids", "attempts", "next", "delivered", "given_up", "statuses", "seconds", "answers", "whys")
                columns = [list(column) for column in zip(*rows, strict=True)]
                cursor.execute(_DISPATCHES, {"at": at, **dict(zip(names, columns, strict=True))})
            if lanes:
                cursor.execute(_FREE_LANES, {"lanes": lanes, "aside": STEPS_ASIDE_AFTER})
        for key, made in _by_endpoint(outcomes).items():
            _note_endpoint(key, made, at)


def _row(dispatch_id: int, failed: int, made: Attempt, at: datetime, outcome: Outcome) -> tuple[object, ...]:
    delivered_at = given_up_at = None
    attempts, again_at = failed, at
    if made.is_success:
        delivered_at = at
    else:
        attempts += 1
        pause = Dispatch.pause_before(attempts + 1, of=dispatch_id)
        # A test is tried once: whoever has asked for it looks at what it says.
        if pause is None or outcome.lane_id is None:
            given_up_at = at
        else:
            again_at = at + max(pause, made.pause or pause)
    status, seconds = made.status, made.seconds
    return (dispatch_id, attempts, again_at, delivered_at, given_up_at, status, seconds, made.answer, made.why)


def _by_endpoint(outcomes: Sequence[Outcome]) -> dict[UUID, list[Attempt]]:
    """What endpoints answered, in order. A test changes nothing about one: it may be off, or be tried out."""
    found: dict[UUID, list[Attempt]] = {}
    for outcome in outcomes:
        if outcome.lane_id is not None and outcome.tried:
            found.setdefault(outcome.endpoint.pk, []).extend(made for _id, _failed, made in outcome.tried)
    return dict(sorted(found.items()))


def _note_endpoint(key: UUID, made: Sequence[Attempt], at: datetime) -> None:
    """Note whether it is well. Warns and switches off when its time has come; what is the same again is not written."""
    endpoint = Endpoint.objects.select_for_update(no_key=True).filter(pk=key).first()
    if endpoint is None:
        return
    before = (endpoint.failing_since, endpoint.warned_at, endpoint.paused_until, endpoint.delivered_at)
    for one in made:
        if one.is_success:
            endpoint.failing_since = endpoint.warned_at = endpoint.paused_until = None
            if endpoint.delivered_at is None or endpoint.delivered_at <= at - NOTED_EVERY:
                endpoint.delivered_at = at
        else:
            endpoint.failing_since = endpoint.failing_since or at
            if one.pause:
                endpoint.paused_until = at + one.pause
    after = (endpoint.failing_since, endpoint.warned_at, endpoint.paused_until, endpoint.delivered_at)
    if after != before:
        endpoint.save(update_fields=["failing_since", "warned_at", "paused_until", "delivered_at"])
    if endpoint.off_at is not None or endpoint.removed_at is not None:
        return
    if any(one.is_gone for one in made):
        _switch_off(endpoint, OffReason.GONE, at)
    elif endpoint.failing_since and endpoint.failing_since <= at - OFF_AFTER:
        _switch_off(endpoint, OffReason.FAILING, at)
    elif endpoint.failing_since and endpoint.failing_since <= at - WARNED_AFTER and endpoint.warned_at is None:
        endpoint.warned_at = at
        endpoint.save(update_fields=["warned_at"])
        _tell(endpoint, "accounts/endpoint_failing", at, off_at=endpoint.failing_since + OFF_AFTER)


def _switch_off(endpoint: Endpoint, why: OffReason, at: datetime) -> None:
    endpoint.off_at, endpoint.off_because = at, why
    endpoint.save(update_fields=["off_at", "off_because"])
    record(None, AccountEvent.ENDPOINT_OFF, at=at, by=Actor.system(), endpoint=str(endpoint.pk), because=why.value)
    _tell(endpoint, "accounts/endpoint_off", at, because=why.value)


def _tell(endpoint: Endpoint, kind: str, at: datetime, **facts: object) -> None:
    """Tell everybody who can do something about it."""
    since = endpoint.failing_since or at
    notices.queue(
        kind,
        to=staff.leads(),
        account=None,
        occasion=f"{kind.removeprefix('accounts/')}:{endpoint.pk}:{since:%Y%m%dT%H%M%S%f}",
        at=at,
        endpoint=str(endpoint.pk),
        name=endpoint.name,
        since_at=since,
        **facts,
    )
