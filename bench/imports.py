"""imports: how fast customers are imported, against the same rows inserted by plain SQL.

At full scale 100,000 accounts, each with its owner and a subscription, from a file of JSON lines: reading, checking,
history and all. The reference has the values ready, and inserts the same rows into the same tables, all of a customer
in one transaction, through a bare connection with statements that the database has prepared. Both write to a database
of their own and take turns every tenth of the way; everything is committed and on disk. Measured are customers a
second, and by how much our process has grown from the first tenth to the last. In the end both databases hold the same.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg

from bench import filling
from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.stage import EMPTY, Stage, say
from subscriptions.imports.files import Line, lines
from subscriptions.imports.importer import Importer, Outcome
from subscriptions.imports.shapes import COLUMNS

#: The goal of the import: so much of the rate of plain SQL.
AT_LEAST = 0.4
#: Constant memory: from the first tenth on the process grows by no more than buffers and caches do.
MOST_GROWTH_MIB = 16
PARTS = 10
OURS, PLAIN = "imports_ours", "imports_plain"
AT = datetime(2026, 3, 17, 9, 30, tzinfo=UTC)

STATEMENTS: tuple[LiteralString, ...] = (
    """
    INSERT INTO accounts_account (id, name, external_id, words, created_at)
    VALUES (%(account)s, %(name)s, %(external_id)s, %(words)s, %(began)s)
    """,
    """
    INSERT INTO accounts_user (password, is_superuser, email, name, words, language, browser_language, time_zone,
                               is_staff, is_active, joined_at)
    VALUES (%(password)s, false, %(email)s, '', '', '', '', 'UTC', false, true, %(at)s)
    RETURNING id
    """,
    """
    INSERT INTO accounts_membership (account_id, user_id, role, joined_at)
    VALUES (%(account)s, %(user)s, 'owner', %(began)s)
    """,
    """
    INSERT INTO subscriptions_subscription
           (account_id, plan_id, channel, interval, seats, cents, currency, order_reference, order_key, external_id,
            started_at, anchor_at, last_error)
    VALUES (%(account)s, 'pro', 'direct', 1, 3, 4900, 'USD', '', '', %(subscription)s, %(began)s, %(began)s, '')
    RETURNING id
    """,
    """
    INSERT INTO subscriptions_importedrow (account_id, customer, content, imported_at)
    VALUES (%(account)s, %(customer)s, %(content)s, %(at)s)
    """,
    """
    INSERT INTO accounts_event (account_id, kind, at, actor_kind, facts)
    VALUES (%(account)s, 'account.imported', %(at)s, 'system', '{"cause": "import", "members": 1}'),
           (%(account)s, 'subscription.started', %(began)s, 'system',
            jsonb_build_object('cause', 'import', 'subscription', %(held)s::bigint, 'plan', 'pro',
                               'channel', 'direct', 'seats', 3))
    """,
)

#: What both must hold in the end, but for keys, hashes and the clock.
WRITTEN: LiteralString = """
SELECT count(*), count(DISTINCT account.id), count(DISTINCT person.id), count(DISTINCT held.id),
       sum(hashtextextended(concat_ws('|', account.name, account.external_id, account.words, account.created_at,
           person.email, person.is_active, place.role, place.joined_at, held.plan_id, held.channel, held.interval,
           held.seats, held.cents, held.external_id, held.started_at, held.anchor_at, held.ends_at), 0)::numeric),
       (SELECT count(*) FROM subscriptions_importedrow),
       (SELECT sum(hashtextextended(concat_ws('|', kind, at, actor_kind, facts - 'subscription'), 0)::numeric)
          FROM accounts_event)
  FROM accounts_account AS account
  JOIN accounts_membership AS place ON place.account_id = account.id
  JOIN accounts_user AS person ON person.id = place.user_id
  JOIN subscriptions_subscription AS held ON held.account_id = account.id
"""


@dataclass(frozen=True)
class Customer:
    number: int

    @property
    def began(self) -> datetime:
        return AT - timedelta(days=30 + self.number % 700)

    def line(self) -> str:
        told = {
            "external_id": f"cus_{self.number}",
            "name": f"Account {self.number}",
            "created_at": self.began.isoformat(),
            "owner": {"email": f"owner{self.number}@bench.example"},
            "subscription": {
                "external_id": f"sub_{self.number}",
                "plan": "pro",
                "interval": "monthly",
                "seats": 3,
                "cents": 4900,
                "started_at": self.began.isoformat(),
            },
        }
        return json.dumps(told) + "\n"

    def values(self) -> dict[str, Any]:
        key = self.number.to_bytes(16)
        return {
            "account": uuid.uuid4(),
            "name": f"Account {self.number}",
            "words": f"account {self.number}",
            "external_id": f"cus_{self.number}",
            "email": f"owner{self.number}@bench.example",
            "password": "!" + "x" * 40,
            "subscription": f"sub_{self.number}",
            "customer": key,
            "content": key,
            "began": self.began,
            "at": AT,
        }


def run(stage: Stage) -> Result:
    """Both in turns, a tenth at a time; then ours again, with nothing missing."""
    customers = stage.scale.ending
    part = customers // PARTS
    file = stage.folder / "customers.jsonl"
    with file.open("w") as written:
        written.writelines(Customer(number).line() for number in range(customers))
    for database in (OURS, PLAIN):
        stage.copy(EMPTY, database)
    stage.use(OURS)
    say(f"imports: {customers:,} customers, in {PARTS} parts …")
    with stage.connect(PLAIN) as connection, filling.defaults(connection, filling.MODELS):
        ours, plain = _Ours(file, part), _Plain(connection, part)
        candidates: dict[str, Callable[[], float]] = {"offboard": ours, "plain SQL": plain}
        found = interleaved(PARTS, candidates)
        again = [_again(file, part) for _number in range(3)]
        _require_the_same(stage, connection, customers)
    rates = {name: Samples(tuple(part / seconds for seconds in taken)) for name, taken in found.items()}
    ratios = Samples(tuple(p / o for o, p in zip(found["offboard"], found["plain SQL"], strict=True)))
    growth = (ours.memory[-1] - ours.memory[0]) / 2**20
    for database in (OURS, PLAIN):
        stage.drop(database)
    return Result(
        rows=[
            *(Row(name, "customers/s", samples) for name, samples in rates.items()),
            Row("  offboard / plain SQL, by part", "ratio", ratios),
            Row("offboard again, nothing missing", "customers/s", Samples(tuple(part / taken for taken in again))),
        ],
        goals=[
            Goal("offboard / plain SQL", rates["offboard"].median / rates["plain SQL"].median, at_least=AT_LEAST),
            Goal("growth of memory from the first part to the last, MiB", growth, at_most=MOST_GROWTH_MIB),
        ],
        facts={"customers": customers, "bytes of the file": file.stat().st_size},
    )


class _Ours:
    """The next part of the file, imported. Returns seconds."""

    def __init__(self, file: Path, part: int) -> None:
        self._lines: Iterator[Line] = lines(file, COLUMNS)
        self._part = part
        self.memory: list[int] = []

    def __call__(self) -> float:
        begun = time.perf_counter()
        importer = Importer(at=AT)
        created = sum(done.outcome == Outcome.CREATED for done in importer.run(islice(self._lines, self._part)))
        taken = time.perf_counter() - begun
        require(created == self._part, f"imports: {created} of {self._part} were created")
        self.memory.append(psutil.Process().memory_info().rss)
        return taken


class _Plain:
    """The next customers, inserted. Returns seconds."""

    def __init__(self, connection: psycopg.Connection, part: int) -> None:
        self._connection = connection
        self._connection.prepare_threshold = 0
        self._part = part
        self._done = 0

    def __call__(self) -> float:
        ready = [Customer(number).values() for number in range(self._done, self._done + self._part)]
        self._done += self._part
        begun = time.perf_counter()
        for values in ready:
            self._insert(values)
        return time.perf_counter() - begun

    def _insert(self, values: dict[str, Any]) -> None:
        account, person, place, held, *others = STATEMENTS
        with self._connection.transaction():
            execute = partial(self._connection.execute, params=values)
            execute(account)
            values["user"] = _id(execute(person))
            execute(place)
            values["held"] = _id(execute(held))
            for statement in others:
                execute(statement)


def _id(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  # RETURNING
    return int(row[0])


def _again(file: Path, part: int) -> float:
    begun = time.perf_counter()
    outcomes = {done.outcome for done in Importer(at=AT).run(islice(lines(file, COLUMNS), part))}
    taken = time.perf_counter() - begun
    require(outcomes == {Outcome.UNCHANGED}, f"imports: again is {outcomes}")
    return taken


def _require_the_same(stage: Stage, plain: psycopg.Connection, customers: int) -> None:
    with stage.connect(OURS) as ours:
        written = [connection.execute(WRITTEN).fetchone() for connection in (ours, plain)]
    require(written[0] == written[1], f"imports: not the same rows: {written}")
    require(written[0] is not None and written[0][0] == customers, f"imports: {written[0]} of {customers}")
