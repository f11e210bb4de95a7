"""elsewhere: 10,000 accounts whose erasing is due at once, with two stores elsewhere that bear 20 requests a second.

Two things. How the stores are asked: two worker processes run the sweep `elsewhere` as it is for a minute, against
stores that answer in 100 ms (`bench.stand_ins.store_stub`); it counts only if no second that slides has more than 20
requests at a store, nobody is asked twice, and no process has more than four calls to a store at once. And how the
erasing here goes meanwhile: accounts are erased in turns, with the two stores configured and without, up to the instant
at which nothing is left here. At the small scale there are 120 accounts, and three seconds.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import LiteralString

from django.conf import settings

from accounts.customers.history import Actor
from accounts.elsewhere.remote_erasure import RemoteErasure
from accounts.elsewhere.store import RemoteStore, of_setting
from accounts.erasure import scheduling
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.runner import take_turn
from accounts.models import Account, Purge
from bench import filling
from bench.filling import ENDS
from bench.measuring import Goal, Result, Row, Samples, interleaved, require, seconds
from bench.stage import FULL, Stage, say
from bench.stand_ins.store_stub import STORES

DATABASE = "elsewhere"
ACCOUNTS_FULL, ACCOUNTS_SMALL = 10_000, 120
SECONDS_FULL, SECONDS_SMALL = 60.0, 3.0
#: Erased here in each measurement.
ERASED_FULL, ERASED_SMALL = 40, 3
PROCESSES = 2
A_SECOND = 20
SECRET = "whsec_" + "QUJD" * 11
AT = ENDS + timedelta(days=1)
#: The goals: within their rate, and near it; memory that does not grow; erasing here not slower.
RATE_AT_LEAST, MIB_AT_MOST, SLOWER_AT_MOST = 0.8, 16, 1.15

#: Of each account that has ended, one erasing that has begun and two stores to be asked.
BEGUN: tuple[LiteralString, ...] = (
    """
    INSERT INTO accounts_purge (account_id, cause, received_at, due_at, deadline_at, next_attempt_at, started_at,
                                progress, kept)
    SELECT account_id, 'customer_request', %(at)s, %(at)s, %(at)s::timestamptz + interval '7 days',
           %(at)s::timestamptz + interval '1 day', %(at)s, '{}', '{}'
      FROM subscriptions_subscription WHERE ends_at = %(ends)s ORDER BY id LIMIT %(accounts)s
    """,
    """
    INSERT INTO accounts_remoteerasure
           (purge_id, account_id, store, request, cause, obliged_at, deadline_at, promised_days, promised_at,
            shown_from, next_attempt_at, people, erased, kept)
    SELECT purge.id, purge.account_id, store, gen_random_uuid(), 'customer_request', %(at)s, purge.deadline_at, 7,
           purge.deadline_at, purge.deadline_at, %(at)s, '[{"id": 1, "external_id": null}]', '{}', '[]'
      FROM accounts_purge AS purge, unnest(%(stores)s::text[]) AS store
    """,
)


def run(stage: Stage) -> Result:
    """Ask for a minute, then erase here in turns."""
    is_full = stage.scale is FULL
    accounts = ACCOUNTS_FULL if is_full else ACCOUNTS_SMALL
    window = SECONDS_FULL if is_full else SECONDS_SMALL
    erased = ERASED_FULL if is_full else ERASED_SMALL
    spare = 2 * erased * (stage.scale.rounds + 1)
    stage.copy(filling.filled(stage, subscriptions=2 * (accounts + spare), ending=accounts + spare), DATABASE)
    with stage.connect(DATABASE) as connection:
        with filling.defaults(connection, (Purge, RemoteErasure)):
            for statement in BEGUN:
                params = {"at": AT, "ends": ENDS, "accounts": accounts, "stores": list(STORES)}
                connection.execute(statement, params)
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    stub = subprocess.Popen(  # this program
        [sys.executable, "-m", "bench.stand_ins.store_stub"], stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(_said(stub))
        say(f"elsewhere: {accounts} accounts at two stores for {window:.0f} s …")
        said = _asked(port, window)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=10) as answer:
            counts = json.load(answer)
    finally:
        stub.terminate()
        stub.wait()
    stage.use(DATABASE)
    _require_fair(counts)
    times = _erased_here(stage, port, erased)
    stage.drop(DATABASE)
    grown = max(worker["peak"] - worker["before"] for worker in said) / 2**20
    rate = min(count["asked"] for count in counts.values()) / window
    ratio = Samples(tuple(times["with"])).median / Samples(tuple(times["without"])).median
    return Result(
        facts={"accounts": accounts, "processes": PROCESSES, "erased each": erased, **counts},
        rows=[
            Row("requests at each store", "a second", Samples((rate,))),
            Row("memory of a process grew by", "MiB", Samples((grown,))),
            Row("erased here without stores", "ms each", Samples(tuple(times["without"])).each(lambda s: s * 1e3)),
            Row("erased here with two", "ms each", Samples(tuple(times["with"])).each(lambda s: s * 1e3)),
        ],
        goals=[
            Goal("share of the stores' rate", rate / A_SECOND, at_least=RATE_AT_LEAST),
            Goal("growth of memory, MiB", grown, at_most=MIB_AT_MOST),
            Goal("erasing here, with stores over without", ratio, at_most=SLOWER_AT_MOST),
        ],
    )


def _setting(port: int) -> str:
    return json.dumps(
        [
            {
                "name": name,
                "address": f"http://127.0.0.1:{port}/{name}",
                "secret": SECRET,
                "promised_days": 7,
                "rate": A_SECOND,
            }
            for name in STORES
        ]
    )


def _asked(port: int, window: float) -> list[dict[str, int]]:
    """What each process says of itself when it has asked for so long."""
    environment = {**os.environ, "REMOTE_STORES": _setting(port)}
    workers = [
        subprocess.Popen(  # noqa: S603  # this program
            [sys.executable, "-m", "bench.workers.elsewhere_worker", DATABASE, AT.isoformat(), str(window)],
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
        for worker in workers:
            if worker.stdin:
                worker.stdin.write("\n")
                worker.stdin.flush()
        return [json.loads(_said(worker)) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _said(process: "subprocess.Popen[str]") -> str:
    """The next line that it says."""
    line = process.stdout.readline() if process.stdout else ""
    require(line != "", "a process ended before its time")
    return line.strip()


def _require_fair(counts: dict[str, dict[str, int]]) -> None:
    for name, count in counts.items():
        require(count["most of one"] == 1, f"{name} was asked twice about one account")
        busiest = count["busiest second"]
        require(busiest <= A_SECOND, f"{name} had {busiest} requests within a second")
        require(count["most at once"] <= 4 * PROCESSES, f"{name} had {count['most at once']} at once")
        done = RemoteErasure.objects.filter(store=name).exclude(done_at=None).count()
        require(done == count["asked"], f"{name} was asked about {count['asked']}, and {done} are done")


def _erased_here(stage: Stage, port: int, erased: int) -> dict[str, list[float]]:
    """Seconds an account, each round of both ways beginning with another one."""
    taken = Purge.objects.values("account_id")
    spare = iter(list(Account.objects.filter(subscriptions__ends_at=ENDS).exclude(pk__in=taken).order_by("pk")))
    listed, _wrong = of_setting(_setting(port), https=False)

    def way(stores: list[RemoteStore]) -> Callable[[], float]:
        return lambda: _seconds_each(spare, erased, stores)

    # One of each before it counts: what a process does once is no part of it.
    way([])()
    way(listed)()
    return interleaved(stage.scale.rounds, {"without": way([]), "with": way(listed)})


def _seconds_each(spare: Iterator[Account], erased: int, stores: list[RemoteStore]) -> float:
    settings.REMOTE_STORES = stores
    purges = [
        scheduling.schedule(
            next(spare),
            cause=PurgeCause.CUSTOMER_REQUEST,
            received_at=AT,
            due_at=AT,
            deadline_at=AT + timedelta(days=7),
            at=AT,
            by=Actor.system(),
        )
        for _account in range(erased)
    ]
    try:
        taken = seconds(lambda: [take_turn(purge, AT) for purge in purges])
    finally:
        settings.REMOTE_STORES = []
    finished = Purge.objects.filter(pk__in=[purge.pk for purge in purges]).exclude(finished_at=None)
    first = Purge.objects.filter(pk=purges[0].pk).values_list("last_error", "waiting_for").get()
    require(finished.count() == erased, f"not every account was erased here: {first}")
    return taken / erased
