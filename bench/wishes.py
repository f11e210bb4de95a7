"""wishes: 10,000 wishes that fall due at one instant, against a payment provider with a limit of calls.

Each needs two calls: to read, and to change. The provider (`bench.stand_ins.stripe_stub`) answers in 100 ms and allows
100 calls in any second. Two worker processes run the sweep `wishes` as it is. Measured is the time until none is open,
in seconds. It counts only if each subscription ends there, each was read once and changed once, no second had more
calls than are allowed, and each agreed wish has its line of history. At the small scale there are 200.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from datetime import timedelta
from typing import LiteralString

from accounts.models import Event
from bench import filling
from bench.filling import ENDS
from bench.measuring import Goal, Result, Row, Samples, require
from bench.stage import FULL, Stage, say
from subscriptions.billing.wish import Wish

DATABASE = "wishes"
WISHES_FULL, WISHES_SMALL = 10_000, 200
PROCESSES = 2
#: The goals: five minutes, and memory that does not grow with the number of wishes.
SECONDS_AT_MOST = 300
MIB_AT_MOST = 32
#: The owners cancelled a day before their period ends.
AT = ENDS - timedelta(days=1)
BEGAN = ENDS - timedelta(days=30)

#: Of each subscription that ends: Stripe holds it, and its owner's wish waits.
HELD: tuple[LiteralString, ...] = (
    """
    UPDATE subscriptions_subscription
       SET held_by = 'stripe', period_started_at = %(began)s, period_ends_at = %(ends)s, next_reminder_at = NULL
     WHERE ends_at = %(ends)s
    """,
    """
    INSERT INTO subscriptions_holding
           (subscription_id, provider, reference, customer_reference, status, status_word, read_at, last_finding)
    SELECT id, 'stripe', 'sub_' || id, 'cus_' || id, 'live', 'active', %(began)s, ''
      FROM subscriptions_subscription WHERE ends_at = %(ends)s
    """,
    """
    INSERT INTO subscriptions_wish
           (subscription_id, want, wanted_end_at, at_once, cause, feedback, version, sent_version, wished_at,
            deadline_at, outcome, answer, next_attempt_at, attempts, last_error)
    SELECT id, 'end', %(ends)s, false, 'owner', 'unused', 1, 0, %(at)s, %(ends)s, '', '{}', %(at)s, 0, ''
      FROM subscriptions_subscription WHERE ends_at = %(ends)s
    """,
)


def run(stage: Stage) -> Result:
    """Have all of them agreed to by two processes."""
    wishes = WISHES_FULL if stage.scale is FULL else WISHES_SMALL
    stage.copy(filling.filled(stage, subscriptions=2 * wishes, ending=wishes), DATABASE)
    with stage.connect(DATABASE) as connection:
        for statement in HELD:
            connection.execute(statement, {"began": BEGAN, "ends": ENDS, "at": AT})
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    stub = subprocess.Popen(  # noqa: S603  # this program
        [sys.executable, "-m", "bench.stand_ins.stripe_stub", str(int(BEGAN.timestamp())), str(int(ENDS.timestamp()))],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(_said(stub))
        say(f"wishes: {wishes} by {PROCESSES} processes …")
        seconds, said = _agreed(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=10) as answer:
            counts = json.load(answer)
    finally:
        stub.terminate()
        stub.wait()
    stage.use(DATABASE)
    _require_all(wishes, counts, said)
    stage.drop(DATABASE)
    grown = max(worker["peak"] - worker["before"] for worker in said) / 2**20
    return Result(
        facts={"wishes": wishes, "processes": PROCESSES, **counts},
        rows=[
            Row("all agreed", "s", Samples((seconds,))),
            Row("wishes", "a second", Samples((wishes / seconds,))),
            Row("memory of a process grew by", "MiB", Samples((grown,))),
        ],
        goals=[
            Goal("seconds until all are agreed", seconds, at_most=SECONDS_AT_MOST),
            Goal("growth of memory, MiB", grown, at_most=MIB_AT_MOST),
        ],
    )


def _agreed(port: int) -> tuple[float, list[dict[str, int]]]:
    """How long it took, and what each process says of itself."""
    environment = {
        **os.environ,
        "STRIPE_API_URL": f"http://127.0.0.1:{port}",
        "STRIPE_API_KEY": "rk_live_bench",
        "STRIPE_CALLS_A_SECOND": "100",
    }
    workers = [
        subprocess.Popen(  # noqa: S603  # this program
            [sys.executable, "-m", "bench.workers.wishes_worker", DATABASE, AT.isoformat()],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _process in range(PROCESSES)
    ]
    try:
        for worker in workers:
            require(_said(worker) == "ready", "a worker did not start")
        begun = time.perf_counter()
        for worker in workers:
            _begin(worker)
        said = [json.loads(_said(worker)) for worker in workers]
        return time.perf_counter() - begun, said
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _said(process: "subprocess.Popen[str]") -> str:
    """The next line that it says."""
    line = process.stdout.readline() if process.stdout else ""
    require(line != "", "a process ended before its time")
    return line.strip()


def _begin(worker: "subprocess.Popen[str]") -> None:
    if worker.stdin:
        worker.stdin.write("\n")
        worker.stdin.flush()


def _require_all(wishes: int, counts: dict[str, int], said: list[dict[str, int]]) -> None:
    require(counts["ending"] == wishes, f"{counts['ending']} subscriptions end at the provider, not {wishes}")
    require(counts["most reads of one"] == 1, "a subscription was read twice")
    require(counts["most changes of one"] == 1, "a subscription was changed twice")
    require(counts["busiest second"] <= 100, f"{counts['busiest second']} calls within a second")
    require(sum(worker["agreed"] for worker in said) == wishes, "the workers agreed to another number")
    require(Wish.objects.filter(outcome="agreed").count() == wishes, "not every wish is agreed")
    require(Event.objects.filter(kind="billing.stopped").count() == wishes, "not every one has its line of history")
