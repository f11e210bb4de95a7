"""Asking stores elsewhere, and asking after what they have accepted: the `elsewhere` sweep.

Each store is asked by up to four calls at once, within its rate, whatever the others do; one that is silent holds up
nobody else. Calls are made outside of transactions, and that one was made is written down before it is: whoever is
killed leaves a request that is repeated, by the same id.
"""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, models, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.customers.history import Actor
from accounts.elsewhere import answers, gate, obliging, recalling
from accounts.elsewhere.gate import StoreGate
from accounts.elsewhere.protocol import Answer, Meaning, body_of, read, read_discovery
from accounts.elsewhere.remote_erasure import RemoteErasure, RemoteErasureQuerySet
from accounts.elsewhere.signed_call import send
from accounts.elsewhere.store import RemoteStore, stores
from accounts.erasure import holds
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import NotYet, run_due, run_overlapping
from accounts.jobs.queues import Queue
from accounts.outgoing.client import NoAnswer, OutgoingError

#: Calls at once to one store.
IN_FLIGHT = 4
#: A run ends after this long; the next one goes on.
RUN = timedelta(seconds=30)
#: A store that did not answer is left alone by all for so long: every call to it would wait for nothing.
SPARED = timedelta(minutes=1)
LONGEST_SPARED = timedelta(hours=1)
#: What a store says of itself is asked so often; and so soon again if it did not say.
DISCOVERED_EVERY, DISCOVERED_AGAIN = timedelta(hours=1), timedelta(minutes=10)
#: A row that has to wait for something else is looked at again after so long.
LOOK_AGAIN = timedelta(minutes=10)

Due = Callable[[datetime], "models.QuerySet[RemoteErasure]"]


def preview(at: datetime) -> Iterator[str]:
    """Whom `ask_due` would ask at `at`, a line each."""
    for row in RemoteErasure.objects.due(at).iterator():
        asked = f"asked after, {row.said}" if row.was_accepted else "asked to erase"
        yield f"{row.account_id}: {row.store} {asked}, promised for {row.promised_at:%Y-%m-%dT%H:%M:%SZ}"


def ask_due(at: datetime) -> int:
    """Ask every store about every account that is due at `at`. Returns how many are done with that."""
    configured = stores()
    discover(configured, at)
    done = run_due(partial(_due, None), take_turn, at=at, run=RUN)
    asked = [store for store in configured if _due(store, at).exists()]
    if len(asked) < 2 or connection.in_atomic_block:
        return done + sum(_ask(store, at) for store in asked)
    with ThreadPoolExecutor(len(asked), thread_name_prefix="elsewhere") as pool:
        running = [pool.submit(copy_context().run, _ask_apart, store, at) for store in asked]
    return done + sum(one.result() for one in running)


def _ask(store: RemoteStore, at: datetime) -> int:
    return run_overlapping(partial(_due, store), take_turn, at=at, run=RUN, threads=IN_FLIGHT)


def _ask_apart(store: RemoteStore, at: datetime) -> int:
    try:
        return _ask(store, at)
    finally:
        connection.close()


def _due(store: RemoteStore | None, at: datetime) -> RemoteErasureQuerySet:
    """What is due at a store that may be called; without one, at those that are configured no more."""
    if store is None:
        return RemoteErasure.objects.due(at).exclude(store__in=[store.name for store in stores()])
    paused = StoreGate.objects.filter(pk=store.name, paused_until__gt=at)
    return RemoteErasure.objects.due(at).filter(~models.Exists(paused), store=store.name)


def take_turn(row: RemoteErasure, at: datetime) -> bool:
    """Ask about one row, or ask after it. Returns whether the store is done with it. Raises `NotYet`."""
    store = row.remote_store
    if store is None:
        gone = gettext("this store is configured no more: put it back, or state by hand what became of it")
        return answers.note(row, Answer(Meaning.MISCONFIGURED, gone), at, by=Actor.system())
    row.refresh_from_db(from_queryset=RemoteErasure.objects.all())
    if not row.is_open:
        return False
    if not row.is_replay and (reason := holds.reason_to_wait(row.account_id, at)):
        if row.asked_at:
            # What is under way is seen through, if it can't be taken back.
            recalling.recall(row, store, at)
        if not row.was_accepted:
            raise NotYet(reason, until=at + LOOK_AGAIN, counts=False)
    return _poll(row, store, at) if row.was_accepted else _request(row, store, at)


def _request(row: RemoteErasure, store: RemoteStore, at: datetime) -> bool:
    if not _begin(row, at):
        return False
    return answers.note(row, _answer(row, store, "POST", store.address, body_of(row), at), at, by=Actor.system())


def _begin(row: RemoteErasure, at: datetime) -> bool:
    """Write down that it is being asked, before it is. False if a hold or an answer has come first."""
    with transaction.atomic():
        current = obliging.lock(row)
        held = not row.is_replay and holds.reason_to_wait(row.account_id, at)
        if held or current.request != row.request or not current.is_open:
            return False
        if current.asked_at is None:
            current.asked_at = at
            current.promise_from(at)
            current.follow()
        # A report may have come while it waited for its turn: what it says is not said again here.
        current.save(update_fields=["asked_at", "promised_at", "shown_from"])
        RemoteErasure.objects.filter(pk=row.pk).update(asks=models.F("asks") + 1)
    return True


def _poll(row: RemoteErasure, store: RemoteStore, at: datetime) -> bool:
    answer = _answer(row, store, "GET", f"{store.address}/{row.request}", b"", at)
    return answers.note(row, answer, at, by=Actor.system(), polled=True)


def _answer(row: RemoteErasure, store: RemoteStore, method: str, address: str, body: bytes, at: datetime) -> Answer:
    """Make one call, and spare the store if it is in trouble. What it said, whatever it was."""
    try:
        found = send(store, method, address, request=row.request, body=body)
    except OutgoingError as error:
        if isinstance(error, NoAnswer):
            gate.pause(store.name, at + SPARED)
        return Answer(Meaning.NOT_NOW, f"the store {error}")
    answer = read(found, at)
    if answer.for_all:
        gate.pause(store.name, at + min(max(answer.retry_after or SPARED, SPARED), LONGEST_SPARED))
    return answer


def discover(configured: list[RemoteStore], at: datetime) -> None:
    """Ask each store what it is, now and then. That it does not say is a warning, and stops nothing."""
    known = gate.gates()
    StoreGate.objects.filter(pk__in=known.keys() - {store.name for store in configured}).delete()
    for store in configured:
        found = known.get(store.name)
        if found is None or found.discover_at is None or found.discover_at <= at:
            _discover(store, at)


def _discover(store: RemoteStore, at: datetime) -> None:
    try:
        said = read_discovery(send(store, "GET", f"{store.address}/discovery", request=uuid.uuid4()))
    except OutgoingError as error:
        said = str(error)
    rows = StoreGate.objects.filter(pk=store.name)
    if isinstance(said, str):
        rows.update(discover_at=at + DISCOVERED_AGAIN, discovery_error=said[:200])
        return
    too_slow = said.takes_days is not None and said.takes_days > store.promised_days
    rows.update(
        discover_at=at + DISCOVERED_EVERY,
        discovered_at=at,
        discovery_error=f"it takes {said.takes_days} days, and promised_days is {store.promised_days}"
        if too_slow
        else "",
        version=said.version,
        takes_days=said.takes_days,
        holds=said.holds,
        can_export=said.exports,
    )


SWEEP = sweeps.Sweep(
    "elsewhere", run=ask_due, preview=preview, late_after=timedelta(minutes=15), queue=Queue.NOW, alone=True
)

INVARIANTS = (
    invariants.Invariant(
        "purge-remote-open",
        _("erasings elsewhere that were refused, are stuck, or are close to the day that the store has promised"),
        lambda at: RemoteErasure.objects.late(at),
        example="account_id",
        listed_by="done_at__isempty=1",
    ),
    invariants.Invariant(
        "store-discovery",
        _("stores elsewhere that do not say what they are, or take longer than they are configured to"),
        lambda _at: StoreGate.objects.exclude(discovery_error=""),
        example="name",
        warning=True,
    ),
)
