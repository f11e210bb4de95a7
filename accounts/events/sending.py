"""Sending: published messages get to the endpoints that are to hear them. Called by the `events` sweep.

Order is kept for each endpoint and account: messages wait in lanes, and a lane is one sender's at a time. A message
that fails holds up the later ones of its lane until its third failure; then they go ahead, and it is tried on beside
them. Other lanes are never held up.

A run claims lanes in transactions of their own, makes its calls by a few threads outside of any, and notes their
outcome some at a time. Who is killed in between has told somebody something that is not noted: after the lease it is
told again, under the same id. So every message arrives at least once, or is shown as undelivered.

An endpoint that fails is asked less, so that it can come back and nobody else waits for it: by one thread at a time,
and not again in this run after a few failures in a row.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import describe
from accounts.events import forgetting, outcomes, publishing
from accounts.events.attempt import Attempt, attempt
from accounts.events.dispatch import STEPS_ASIDE_AFTER, Dispatch, Lane
from accounts.events.endpoint import Endpoint
from accounts.events.managing import test_body
from accounts.events.outcomes import Outcome
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import overdue

log = logging.getLogger(__name__)

#: A run begins nothing new after this long; the next one goes on. What is under way ends within a call's time-out.
RUN = timedelta(seconds=20)
#: Calls side by side. All but two of them may be to one endpoint; two at most to endpoints that are failing.
THREADS = 8
MOST_OF_ONE = THREADS - 2
MOST_OF_FAILING = 2
#: Lanes of an endpoint that are claimed at once, and messages of a lane that one thread takes.
LANES = 64
MESSAGES = 50
#: For so long a lane is left to who claimed it: longer than a run, with all that it still has under way.
LEASE = timedelta(minutes=5)
#: A thread that is at a lane for so long gives the rest of it back.
LANE_SECONDS = 60.0
#: Outcomes are noted so many at a time, or after so many seconds: what a kill can have told twice.
NOTED_AT_ONCE = 64
NOTED_AFTER = 0.25
#: Failures in a row after which an endpoint is left alone for this run.
ENOUGH_FAILURES = 5
#: Tests of endpoints that a run carries out.
TESTS = 10

_CLAIM: LiteralString = """
WITH picked AS (
    SELECT lane.id
      FROM accounts_endpoint AS endpoint
     CROSS JOIN LATERAL (
        SELECT id FROM accounts_lane
         WHERE endpoint_id = endpoint.id AND next_attempt_at <= %(at)s
           AND (leased_until IS NULL OR leased_until <= %(at)s)
         ORDER BY next_attempt_at, id
         LIMIT CASE WHEN endpoint.failing_since IS NULL THEN %(lanes)s ELSE 1 END
           FOR UPDATE SKIP LOCKED
     ) AS lane
     WHERE endpoint.removed_at IS NULL AND endpoint.off_at IS NULL
       AND (endpoint.paused_until IS NULL OR endpoint.paused_until <= %(at)s)
       AND endpoint.id <> ALL(%(but)s)
)
UPDATE accounts_lane AS lane SET leased_until = %(until)s FROM picked WHERE lane.id = picked.id
RETURNING lane.id, lane.endpoint_id, lane.account_id
"""

#: What may be sent of these lanes, in order: what is due, up to the first one that waits and still holds up the others.
_WAITING: LiteralString = """
SELECT lane.id, waiting.id, waiting.attempts, waiting.next_attempt_at <= %(at)s, message.webhook_id, message.body
  FROM accounts_lane AS lane
 CROSS JOIN LATERAL (
    SELECT id, message_id, attempts, next_attempt_at FROM accounts_dispatch
     WHERE endpoint_id = lane.endpoint_id AND account_id = lane.account_id
       AND delivered_at IS NULL AND given_up_at IS NULL
       AND (next_attempt_at <= %(at)s OR attempts < %(aside)s)
     ORDER BY id LIMIT %(messages)s
 ) AS waiting
  JOIN accounts_eventmessage AS message ON message.id = waiting.message_id
 WHERE lane.id = ANY(%(lanes)s)
 ORDER BY lane.next_attempt_at, lane.id, waiting.id
"""


@dataclass(frozen=True)
class Told:
    """A message on its way, without the database."""

    dispatch_id: int
    attempts: int
    webhook_id: str
    body: bytes


@dataclass
class Job:
    """What one thread tells one endpoint: some of a lane, in order; or a test, which has none."""

    endpoint: Endpoint
    lane_id: int | None
    messages: list[Told] = field(default_factory=list)


def send_due(at: datetime, *, run: timedelta = RUN, threads: int = THREADS) -> int:
    """Tell endpoints what is due at `at`. Returns how many messages were delivered."""
    if not _anything(at):
        return 0
    # Beside another run a second one would only hold up a worker; what is published meanwhile that one sends, too.
    with sweeps.alone("events: sending") as is_alone:
        return _Run(at, run, threads).carry_out() if is_alone else 0


def _anything(at: datetime) -> bool:
    due_lanes = Lane.objects.filter(next_attempt_at__lte=at, endpoint__off_at=None, endpoint__removed_at=None)
    return due_lanes.exists() or Dispatch.objects.tests().due(at).exists()


class _Run:
    """One run: what is claimed, what is on its way, what is to be noted. All but the calls is this thread's."""

    def __init__(self, at: datetime, run: timedelta, threads: int) -> None:
        self.at = at
        self.threads = threads
        self.stop = time.monotonic() + run.total_seconds()
        self.endpoints: dict[UUID, Endpoint] = {}
        self.queued: dict[UUID, deque[Job]] = {}
        self.flying: dict[Future[list[Attempt]], Job] = {}
        self.to_note: list[Outcome] = []
        self.noted_at = time.monotonic()
        #: Failures in a row, by endpoint; one that was failing before has one to begin with.
        self.failures: Counter[UUID] = Counter()
        self.delivered = 0

    def carry_out(self) -> int:
        with ThreadPoolExecutor(self.threads, thread_name_prefix="events") as pool:
            self._claim_tests()
            while True:
                if time.monotonic() < self.stop:
                    self._claim()
                    self._start(pool)
                if not self.flying:
                    # All that was claimed is done, or is not to be begun any more.
                    self._note()
                    if time.monotonic() >= self.stop or not self._claim():
                        break
                    continue
                done, _others = wait(self.flying, timeout=NOTED_AFTER, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take_in(self.flying.pop(future), future.result())
                if len(self.to_note) >= NOTED_AT_ONCE or time.monotonic() - self.noted_at > NOTED_AFTER:
                    self._note()
            self._give_back()
        return self.delivered

    # What is to be sent

    def _claim(self) -> bool:
        """Take lanes of every endpoint that nothing is queued for. Returns whether there were any."""
        but = [
            key
            for key in self.endpoints
            if self.queued.get(key)
            or self.failures[key] >= ENOUGH_FAILURES
            or (self.failures[key] and self._flying(key))
        ]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_CLAIM, {"at": self.at, "until": self.at + LEASE, "lanes": LANES, "but": but})
            lanes = {lane: endpoint for lane, endpoint, _account in cursor.fetchall()}
            if not lanes:
                return False
            cursor.execute(
                _WAITING,
                {"at": self.at, "aside": STEPS_ASIDE_AFTER, "messages": MESSAGES, "lanes": list(lanes)},
            )
            waiting = cursor.fetchall()
        self._know(lanes.values())
        jobs = {lane: Job(self.endpoints[endpoint], lane) for lane, endpoint in lanes.items()}
        held_up = set()
        for lane, dispatch, attempts, is_due, webhook_id, body in waiting:
            if not is_due:
                held_up.add(lane)
            elif lane not in held_up:
                jobs[lane].messages.append(Told(dispatch, attempts, str(webhook_id), body.encode()))
        for job in jobs.values():
            if job.messages:
                self.queued.setdefault(job.endpoint.pk, deque()).append(job)
            else:
                # Looked at too early: it is told when to be looked at again.
                self.to_note.append(Outcome(job.endpoint, job.lane_id))
        return True

    def _claim_tests(self) -> None:
        for dispatch in Dispatch.objects.tests().due(self.at).select_related("endpoint")[:TESTS]:
            told = Told(dispatch.pk, dispatch.attempts, f"test_{dispatch.pk}", test_body(dispatch))
            job = Job(dispatch.endpoint, None, [told])
            # By itself, beside the endpoint's lanes: one that is off is tested, too.
            self.queued.setdefault(UUID(int=dispatch.pk), deque()).append(job)

    def _know(self, keys: Iterable[UUID]) -> None:
        """Have the endpoints as they are now: a secret may have been changed since the last claim."""
        for endpoint in Endpoint.objects.filter(pk__in=set(keys)):
            if endpoint.pk not in self.endpoints and endpoint.failing_since:
                self.failures[endpoint.pk] = 1
            self.endpoints[endpoint.pk] = endpoint

    # On the way

    def _start(self, pool: ThreadPoolExecutor) -> None:
        """Begin as many calls as there are threads, of each endpoint in turn."""
        while len(self.flying) < self.threads:
            ready = [key for key, jobs in self.queued.items() if jobs and self._may_start(jobs[0].endpoint.pk)]
            if not ready:
                return
            for key in ready[: self.threads - len(self.flying)]:
                job = self.queued[key].popleft()
                self.flying[pool.submit(copy_context().run, self._tell, job)] = job

    def _may_start(self, key: UUID) -> bool:
        if not self.failures[key]:
            return self._flying(key) < max(1, min(MOST_OF_ONE, self.threads))
        failing = sum(1 for job in self.flying.values() if self.failures[job.endpoint.pk])
        return self._flying(key) < 1 and failing < MOST_OF_FAILING and self.failures[key] < ENOUGH_FAILURES

    def _flying(self, key: UUID) -> int:
        return sum(1 for job in self.flying.values() if job.endpoint.pk == key)

    def _tell(self, job: Job) -> list[Attempt]:
        """In a thread: one after the other, until one fails or it has taken long enough."""
        made: list[Attempt] = []
        until = min(self.stop, time.monotonic() + LANE_SECONDS)
        for told in job.messages:
            if made and time.monotonic() > until:
                break
            made.append(attempt(job.endpoint, told.webhook_id, told.body))
            if not made[-1].is_success:
                break
        return made

    # Afterwards

    def _take_in(self, job: Job, made: Sequence[Attempt]) -> None:
        tried = [(told.dispatch_id, told.attempts, one) for told, one in zip(job.messages, made, strict=False)]
        self.to_note.append(Outcome(job.endpoint, job.lane_id, tried))
        self.delivered += sum(1 for one in made if one.is_success)
        key = job.endpoint.pk
        if job.lane_id is None:
            return
        for one in made:
            self.failures[key] = 0 if one.is_success else self.failures[key] + 1
        if self.failures[key]:
            # What was claimed for it while it was well is not everybody's burden now.
            self._put_back(key)

    def _put_back(self, key: UUID) -> None:
        for job in self.queued.pop(key, ()):
            self.to_note.append(Outcome(job.endpoint, job.lane_id))

    def _give_back(self) -> None:
        for key in list(self.queued):
            self._put_back(key)
        self._note()

    def _note(self) -> None:
        noting, self.to_note, self.noted_at = self.to_note, [], time.monotonic()
        try:
            outcomes.note(noting, at=self.at)
        except DatabaseError:
            # One of them is to blame. The others are noted; its lane is left to its lease, and is late by age some day.
            for one in noting:
                try:
                    outcomes.note([one], at=self.at)
                except DatabaseError as error:
                    log.error("lane %s: what came of it can't be noted: %s", one.lane_id, describe(error))


def publish_and_send(at: datetime) -> int:
    """What the `events` sweep does: give messages their places, tell endpoints, forget what is old.

    Returns how many it has published and sent.
    """
    try:
        published = publishing.publish_due(at)
    finally:
        # A message that can't be published is in the way of no other.
        sent = send_due(at)
        forgetting.forget_old(at)
    return published + sent


def preview(at: datetime) -> Iterator[str]:
    """What `publish_and_send` would do at `at`, a line each."""
    yield from publishing.preview(at)
    due = Dispatch.objects.due(at).filter(endpoint__off_at=None, endpoint__removed_at=None)
    for dispatch in due.select_related("endpoint", "message").defer("message__body").iterator():
        yield f"{dispatch.account_id or 'a test'}: {dispatch.type} to {dispatch.endpoint}"


SWEEP = sweeps.Sweep("events", run=publish_and_send, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    invariants.Invariant(
        "endpoint-failing",
        _("endpoints that have failed for 24 hours: after five days they are switched off"),
        lambda at: Endpoint.objects.failing(at),
        example="name",
    ),
    invariants.Invariant(
        "endpoint-off",
        _("endpoints that were switched off because they failed: mend them and switch them on, or leave them off"),
        lambda at: Endpoint.objects.given_up(),
        example="name",
    ),
    overdue(
        Dispatch,
        "undelivered-message",
        _("messages that an endpoint has not got for more than an hour"),
        example="endpoint__name",
        shown_as="endpoint",
    ),
    invariants.Invariant(
        "message-given-up",
        _("messages given up after ten attempts: replay them"),
        lambda at: Dispatch.objects.undelivered().filter(given_up_at__isnull=False, endpoint__removed_at=None),
        example="endpoint__name",
        shown_as="endpoint",
        warning=True,
    ),
)
