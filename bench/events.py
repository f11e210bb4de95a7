"""events: 10,000 changes of one instant, told to an endpoint by one worker.

Of 1,000 accounts, ten changes each: lines of history that others are told of, written in transactions of a hundred.
Then one process runs the sweep `events` as it is until nothing waits: publishing, and sending to a receiver that is a
process of its own and checks each signature. Measured are messages delivered a second, publishing included, and what
the telling adds to a line of history: the same lines again, of a kind that nobody is told of, in turns. It counts only
if the receiver has heard each message once, and those of each account in the order of their numbers. At the small
scale there are 300.
"""

import json
import subprocess
import sys
import time
import urllib.request
import uuid

from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.core import clock
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.events import managing
from accounts.events.dispatch import Dispatch
from accounts.events.sending import publish_and_send
from accounts.models import Account
from accounts.outgoing.signing import make_secret
from bench.measuring import Goal, Result, Row, Samples, require
from bench.stage import EMPTY, FULL, Stage, say

DATABASE = "events"
ACCOUNTS_FULL, ACCOUNTS_SMALL = 1_000, 30
CHANGES_OF_EACH = 10
ROUNDS_FULL, ROUNDS_SMALL = 3, 1
#: The goals.
PER_SECOND = 300
STATEMENTS_MORE_AT_MOST = 1
#: Runs of the sweep after which nothing may wait.
MOST_RUNS = 50


def run(stage: Stage) -> Result:
    """Tell, publish, send, and ask the receiver what it has heard."""
    full = stage.scale is FULL
    accounts = ACCOUNTS_FULL if full else ACCOUNTS_SMALL
    messages = accounts * CHANGES_OF_EACH
    result = Result(facts={"messages": messages, "accounts": accounts})
    sent: list[float] = []
    told: dict[str, list[float]] = {"told": [], "untold": []}
    statements = 0
    for number in range(ROUNDS_FULL if full else ROUNDS_SMALL):
        stage.copy(EMPTY, DATABASE)
        stage.use(DATABASE)
        secret = make_secret()
        receiver = subprocess.Popen(  # noqa: S603  # this program
            [sys.executable, "-m", "bench.stand_ins.events_receiver", secret], stdout=subprocess.PIPE, text=True
        )
        try:
            url = f"http://127.0.0.1:{_port(receiver)}/hook"
            settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8"]
            managing.make("Bench", url, secret=secret, by=Actor.system(), at=clock.now())
            keys = _accounts(accounts)
            statements = max(statements, _statements_more(keys[0]))
            # In turns, so that whatever else the machine does meets both.
            for kind in ("told", "untold") if number % 2 else ("untold", "told"):
                seconds = _write(keys, None if kind == "told" else AccountEvent.HOLD_SET)
                told[kind].append(messages / seconds)
            sent.append((messages + 1) / _sent())
            with urllib.request.urlopen(url, timeout=10) as answer:
                _require_heard(json.load(answer), messages, accounts)
        finally:
            receiver.terminate()
            receiver.wait()
        stage.drop(DATABASE)
        say(f"events: round {number + 1}: {sent[-1]:.0f} delivered a second")
    result.rows += [
        Row("delivered by one worker", "messages/s", Samples(tuple(sent))),
        Row("lines of history that are told", "lines/s", Samples(tuple(told["told"]))),
        Row("  of a kind that nobody is told of", "lines/s", Samples(tuple(told["untold"]))),
    ]
    result.goals += [
        Goal("delivered a second", result.rows[0].samples.median, at_least=PER_SECOND),
        Goal("statements more for a line that is told", statements, at_most=STATEMENTS_MORE_AT_MOST),
    ]
    return result


def _port(receiver: "subprocess.Popen[str]") -> int:
    require(receiver.stdout is not None, "the receiver says nothing")
    return int(receiver.stdout.readline()) if receiver.stdout else 0


def _accounts(count: int) -> list[uuid.UUID]:
    made = Account.objects.bulk_create(
        [Account(name=f"Account {number}", created_at=clock.now()) for number in range(count)]
    )
    return [account.pk for account in made]


def _record(account: uuid.UUID, kind: AccountEvent | None) -> None:
    if kind is None:
        history.record(account, AccountEvent.PURGE_STARTED, at=clock.now(), by=Actor.system(), purge=1, cause="x")
    else:
        history.record(account, kind, at=clock.now(), by=Actor.system(), hold=1, until="")


def _write(keys: list[uuid.UUID], kind: AccountEvent | None) -> float:
    """Lines of history of each account in turn, a hundred a transaction. Returns the seconds."""
    changes = keys * CHANGES_OF_EACH
    began = time.perf_counter()
    for start in range(0, len(changes), 100):
        with transaction.atomic():
            for account in changes[start : start + 100]:
                _record(account, kind)
    return time.perf_counter() - began


def _statements_more(account: uuid.UUID) -> int:
    """Statements of a line that is told, beyond those of one that is not."""
    counts = []
    for kind in (AccountEvent.HOLD_SET, None):
        with transaction.atomic(), CaptureQueriesContext(connection) as seen:
            _record(account, kind)
        counts.append(len(seen))
    return counts[1] - counts[0]


def _sent() -> float:
    """Seconds until nothing waits."""
    began = time.perf_counter()
    for _run in range(MOST_RUNS):
        publish_and_send(clock.now())
        if not Dispatch.objects.pending().exists():
            return time.perf_counter() - began
    require(False, f"after {MOST_RUNS} runs {Dispatch.objects.pending().count()} messages still wait")
    raise AssertionError


def _require_heard(heard: dict[str, object], messages: int, accounts: int) -> None:
    # One more of the first account: that by which statements were counted.
    wanted = {
        "calls": messages + 1,
        "distinct": messages + 1,
        "forged": 0,
        "out_of_order": 0,
        "accounts": accounts,
        "last": [CHANGES_OF_EACH, CHANGES_OF_EACH + 1],
    }
    require(heard == wanted, f"the receiver has heard {heard} instead of {wanted}")
