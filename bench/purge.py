"""purge: how fast a large account is erased, against plain SQL; what that costs in memory; how pages fare meanwhile.

Rate: at full scale an account with 200,000 blueprints, evenly mixed with 300,000 of others in one table. Measured is
the time in seconds from obligation to verified purge, counting again and certificate included, of
`accounts.erasure.runner.purge_due`, against the same rows deleted chunk by chunk through a bare connection
(`REFERENCE`). Each run begins on a fresh copy of the same database, after a checkpoint, with an open connection. A
million rows a round would take too long; there is one run of those:

Memory, longest statement and pages: an account with 1,000,000 blueprints among the same 300,000, erased once, in
a process of its own (`bench.workers.purge_worker`), in turns of a few seconds. Between the turns it rests. Subscription
Settings of another account is asked for without a pause through Django's test client, in this process, through rests
and turns: milliseconds a page, by stretch; the first rest comes before anything is erased. Memory is the growth of the
worker's resident memory since it was ready, in MiB, sampled. A statement is timed in milliseconds where it is sent;
commits are not among them.

A run counts only if the purge is verified at the first attempt, the certificate is sound and says the number of rows,
nothing of the account is left, and the rows of the others are the same, by number and checksum.

Blueprints are small (650 bytes a row), which favours the plain SQL: it does less for each. They have no pictures:
files are deleted one by one, and there is nothing in plain SQL to compare that with.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import median, quantiles
from typing import Any, LiteralString

import psycopg
from django.conf import settings
from django.db import connection as django_connection
from django.test import Client
from django.urls import reverse

from accounts.blueprints.models import Blueprint
from accounts.core import clock
from accounts.customers.history import Actor
from accounts.erasure import certificates, scheduling
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.runner import purge_due
from accounts.erasure.statements import STATEMENT_TIMEOUT
from accounts.models import Account, Certificate, Membership, Purge, Role, User
from bench import filling
from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.nothing_due import FEW, FEW_ENDING
from bench.pages import account_with
from bench.stage import FULL, Stage, say
from config.stack import run as stack

#: The goals of issue 4.
RATE_AT_LEAST = 0.5
MEMORY_AT_MOST_MIB = 60
PAGES_AT_MOST = 1.5
STORE = "blueprints.Blueprint"
COPY, LARGE = "purge_run", "purge_large"
PAGE = "subscription"
OWN_BLUEPRINTS = 60
COMPONENTS = [{"id": str(n), "type": "ec2", "label": f"web {n}", "x": n, "y": 0, "links": []} for n in range(5)]

#: What an engineer would type who has only this to do.
REFERENCE: LiteralString = """
DELETE FROM accounts_blueprint
 WHERE ctid = ANY(ARRAY(SELECT ctid FROM accounts_blueprint WHERE account_id = %s LIMIT 2000))
"""

#: Row n of `total` belongs to the large account if a counter that goes up by `many` runs over: evenly mixed.
MIXED: LiteralString = """
SELECT n, CASE WHEN n::bigint * %(many)s %% %(total)s < %(many)s THEN %(large)s
               ELSE others.id[1 + n %% cardinality(others.id)] END AS account_id
  FROM generate_series(0, %(total)s - 1) AS n,
       (SELECT array_agg(id) FROM accounts_account WHERE id NOT IN (%(large)s, %(visited)s)) AS others (id)
"""

LEFT: LiteralString = """
SELECT (SELECT count(*) FROM accounts_blueprint WHERE account_id = %(large)s), count(*),
       coalesce(sum(hashtextextended(kept::text, 0)::numeric), 0)
  FROM accounts_blueprint AS kept WHERE account_id <> %(large)s
"""


@dataclass(frozen=True)
class Size:
    """Blueprints of the account in a round, in the large run, of others; seconds of a stretch.

    A stretch with fewer than `pages` does not count: it says nothing about a twentieth of them.
    """

    round: int
    large: int
    others: int
    stretch: float
    pages: int


SIZE_FULL = Size(round=200_000, large=1_000_000, others=300_000, stretch=3.0, pages=20)
SIZE_SMALL = Size(round=5_000, large=20_000, others=5_000, stretch=0.5, pages=2)


@dataclass(frozen=True)
class Filled:
    """A database with a large account: how many rows are its own, and number and checksum of those of the others."""

    database: str
    large: uuid.UUID
    rows: int
    others: tuple[int, Any]


@dataclass(frozen=True)
class Stretch:
    """Some seconds of asking for a page: milliseconds."""

    median: float
    slowest_twentieth: float


@dataclass
class Worker:
    """The process that erases, a turn whenever it is told."""

    process: "subprocess.Popen[str]"

    def answer(self) -> dict[str, Any]:
        """Its next line. Waits for it."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        require(line != "", "the process that erases has died")
        found: dict[str, Any] = json.loads(line)
        return found

    def begin_turn(self, seconds: float) -> None:
        """Have it erase for so long."""
        if self.process.stdin:
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()


def run(stage: Stage) -> Result:
    """Compare the rates, then watch one large purge."""
    size = SIZE_FULL if stage.scale is FULL else SIZE_SMALL
    result = Result(
        facts={"blueprints of the account": size.round, "of others": size.others, "in the large run": size.large}
    )
    _compare(stage, size, result)
    _watch(stage, size, result)
    return result


def _compare(stage: Stage, size: Size, result: Result) -> None:
    filled = _filled(stage, "purge_rounds", size.round, size.others)
    say(f"purge: {stage.scale.rounds} rounds of {filled.rows:,} blueprints …")
    found = interleaved(
        stage.scale.rounds,
        {
            "offboard": partial(_measured, stage, filled, partial(_ours, filled)),
            "plain chunked SQL": partial(_measured, stage, filled, partial(_reference, stage, filled)),
        },
    )
    stage.drop(COPY)
    stage.drop(filled.database)
    rates = {name: Samples(tuple(filled.rows / taken for taken in times)) for name, times in found.items()}
    ours, plain = rates.values()
    result.rows += [Row(name, "blueprints/s", samples) for name, samples in rates.items()]
    ratios = Samples(tuple(mine / its for mine, its in zip(ours.values, plain.values, strict=True)))
    result.rows.append(Row("  offboard / plain SQL, by round", "ratio", ratios))
    say(f"purge: of the rate of plain SQL, by round: {', '.join(f'{ratio:.2f}' for ratio in ratios.values)}")
    result.goals.append(Goal("offboard / plain chunked SQL", ours.median / plain.median, at_least=RATE_AT_LEAST))


def _measured(stage: Stage, filled: Filled, erase: Callable[[], float]) -> float:
    """Seconds of one run on a fresh copy."""
    stage.copy(filled.database, COPY)
    with stage.connect(COPY) as bare:
        bare.execute("CHECKPOINT")
    stage.use(COPY)
    taken = erase()
    with stage.connect(COPY) as bare:
        _require_gone(bare, filled)
    return taken


def _ours(filled: Filled) -> float:
    """Seconds until it is verified."""
    django_connection.ensure_connection()
    begun = time.perf_counter()
    completed = purge_due(_oblige(filled.large).due_at)
    taken = time.perf_counter() - begun
    _require_proven(filled)
    require(completed == 1, f"{completed} purges were completed")
    return taken


def _reference(stage: Stage, filled: Filled) -> float:
    """Seconds until no row is left to delete."""
    with stage.connect(COPY) as bare, bare.cursor() as cursor:
        begun = time.perf_counter()
        while cursor.execute(REFERENCE, [filled.large]).rowcount:
            pass
        return time.perf_counter() - begun


def _watch(stage: Stage, size: Size, result: Result) -> None:
    filled = _filled(stage, LARGE, size.large, size.others)
    stage.use(LARGE)
    browser = Client()
    visited = User.objects.get(email=f"owner-of-{OWN_BLUEPRINTS}@bench.example")
    browser.force_login(visited, backend=settings.AUTHENTICATION_BACKENDS[0])
    _oblige(filled.large)
    say(f"purge: one of {filled.rows:,} blueprints, watched …")
    rests: list[Stretch] = []
    turns: list[Stretch] = []
    rates: list[float] = []
    with _worker(LARGE) as worker, ThreadPoolExecutor(1) as waiting:
        require("ready" in worker.answer(), "the process that erases is not ready")
        _ask_for(browser, size, None)
        verified = False
        while not verified:
            rest = _ask_for(browser, size, None)
            worker.begin_turn(size.stretch)
            said = waiting.submit(worker.answer)
            turn = _ask_for(browser, size, said)
            answer = said.result()
            verified = bool(answer["verified"])
            rates.append(answer["erased"] / answer["seconds"])
            say(f"purge: {answer['erased']:,} in {answer['seconds']:.1f} s; page at rest {rest}, at work {turn}")
            # The last turn may be too short to tell.
            if rest and turn:
                rests.append(rest)
                turns.append(turn)
        watched = answer
    _require_proven(filled)
    with stage.connect(LARGE) as bare:
        _require_gone(bare, filled)
    stage.drop(LARGE)
    _tell(result, rests, turns, watched)
    result.rows.append(Row("large run, each turn, pages meanwhile", "blueprints/s", Samples(tuple(rates))))


def _tell(result: Result, rests: list[Stretch], turns: list[Stretch], watched: dict[str, Any]) -> None:
    require(bool(rests), "the purge was over before a page could be timed")
    growth = (watched["peak"] - watched["before"]) / 2**20
    result.rows += [
        Row("large run: memory grown", "MiB", Samples((growth,))),
        Row("large run: longest statement", "ms", Samples((watched["longest"] * 1000,))),
    ]
    result.facts["longest statement"] = watched["statement"]
    result.facts["statements"] = watched["statements"]
    result.facts["rows at once, at the end"] = watched["chunk"]
    result.goals += [
        Goal("memory grown, MiB", growth, at_most=MEMORY_AT_MOST_MIB),
        Goal("longest statement, ms", watched["longest"] * 1000, at_most=STATEMENT_TIMEOUT),
    ]
    kinds: dict[str, Callable[[Stretch], float]] = {
        "median": lambda stretch: stretch.median,
        "95th percentile": lambda stretch: stretch.slowest_twentieth,
    }
    for kind, of in kinds.items():
        before, meanwhile = [of(each) for each in rests], [of(each) for each in turns]
        ratios = [slow / fast for fast, slow in zip(before, meanwhile, strict=True)]
        result.rows += [
            Row(f"{PAGE} page, purge at rest: {kind}", "ms", Samples(tuple(before))),
            Row(f"{PAGE} page, purge at work: {kind}", "ms", Samples(tuple(meanwhile))),
            Row("  at work / at rest, by pair", "ratio", Samples(tuple(ratios))),
        ]
        result.goals.append(Goal(f"page at work / at rest, {kind}", median(ratios), at_most=PAGES_AT_MOST))


def _ask_for(browser: Client, size: Size, until: "Future[dict[str, Any]] | None") -> Stretch | None:
    """Ask for the page again and again, for a stretch or until something has come; None if that was too short."""
    address = reverse(PAGE)
    taken: list[float] = []
    begun = time.perf_counter()
    while not (until.done() if until else time.perf_counter() - begun >= size.stretch):
        asked = time.perf_counter()
        status = browser.get(address).status_code
        taken.append((time.perf_counter() - asked) * 1000)
        require(status == 200, f"{address} answered {status}")
    if len(taken) < size.pages:
        return None
    twentieths = quantiles(taken, n=20)
    return Stretch(median(taken), twentieths[18])


@contextmanager
def _worker(database: str) -> Iterator[Worker]:
    """The process that erases; it ends with the block, however that ends."""
    process = subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-m", "bench.workers.purge_worker", database],
        cwd=stack.PROJECT,
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Worker(process)
        finally:
            process.kill()


def _oblige(account_id: uuid.UUID) -> Purge:
    """A purge that is due now."""
    at = clock.now()
    return scheduling.schedule(
        Account.objects.get(pk=account_id),
        cause=PurgeCause.MARKETPLACE_CANCELLATION,
        received_at=at - timedelta(hours=1),
        due_at=at,
        deadline_at=at + timedelta(days=30),
        at=at,
        by=Actor.system(),
    )


def _require_proven(filled: Filled) -> None:
    row = Purge.objects.get(account_id=filled.large)
    require(row.verified_at is not None, f"the purge is not verified: {row.last_error}")
    certificate = Certificate.objects.get(account_id=filled.large)
    said = certificate.body["erased"].get(STORE)
    require(said == filled.rows, f"the certificate says {said} instead of {filled.rows}")
    require(certificate.body["left"] == 0, "the certificate says that something is left")
    require(not list(certificates.faults()), "the certificates are not sound")
    require(not Account.objects.filter(pk=filled.large).exists(), "the account is still there")


def _require_gone(bare: psycopg.Connection, filled: Filled) -> None:
    left, *others = _counted(bare, filled.large)
    require(left == 0, f"{left} blueprints are left")
    require(tuple(others) == filled.others, "blueprints of other accounts have changed")


def _counted(bare: psycopg.Connection, large: uuid.UUID) -> tuple[int, int, Any]:
    """How many are the account's, how many the others', and a checksum over every value in theirs."""
    rows = bare.execute(LEFT, {"large": large}).fetchall()
    return rows[0][0], rows[0][1], rows[0][2]


def _filled(stage: Stage, database: str, rows: int, others: int) -> Filled:
    """A database in which one account has so many blueprints, a thousand others share theirs, and one is visited."""
    say(f"filling {database} …")
    stage.copy(filling.filled(stage, subscriptions=FEW, ending=FEW_ENDING), database)
    stage.use(database)
    visited = account_with(OWN_BLUEPRINTS)
    large = Account.objects.create(name="Large account", created_at=clock.now())
    owner = User.objects.create(email="large@bench.example", name="Lara Large", password="!")  # noqa: S106
    Membership.objects.create(account=large, user=owner, role=Role.OWNER)
    pattern = Blueprint.objects.create(account=visited, name="Production", components=COMPONENTS)
    with stage.connect(database) as bare:
        _multiply(bare, pattern, large=large, visited=visited, rows=rows, others=others)
        bare.execute("VACUUM (ANALYZE)")
        own, *rest = _counted(bare, large.pk)
    require(own == rows, f"{own} blueprints were filled in instead of {rows}")
    return Filled(database, large.pk, rows, (rest[0], rest[1]))


def _multiply(
    bare: psycopg.Connection, pattern: Blueprint, *, large: Account, visited: Account, rows: int, others: int
) -> None:
    """Copy the pattern, whatever columns it has, with new ids and names, for the large account and the others."""
    changed = {"id": "gen_random_uuid()", "account_id": "mixed.account_id", "name": "'Blueprint ' || mixed.n"}
    columns = [str(field.column) for field in Blueprint._meta.local_concrete_fields]
    values = ", ".join(changed.get(column, f"pattern.{column}") for column in columns)
    bare.execute("SET session_replication_role = replica")
    # Values put in by the client: some have no type that the server could guess.
    with psycopg.ClientCursor(bare) as cursor:
        cursor.execute(
            f"INSERT INTO accounts_blueprint ({', '.join(columns)}) "  # noqa: S608  # names of our own columns
            f"SELECT {values} FROM ({MIXED}) AS mixed, "
            "(SELECT * FROM accounts_blueprint WHERE id = %(pattern)s) AS pattern",
            {"many": rows, "total": rows + others, "large": large.pk, "visited": visited.pk, "pattern": pattern.pk},
        )
    bare.execute("SET session_replication_role = DEFAULT")
