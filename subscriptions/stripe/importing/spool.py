"""What an import has read at Stripe, put aside until all of it is read: in a file, so that any number takes no memory.

Stripe lists subscriptions by age, so a customer's lie far apart; and whether two customers are one account's shows only
when all are known. The file is SQLite's, has no name, and goes with the connection: nobody's address stays behind.
"""

import pickle
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Self

from subscriptions.billing.holding import Held

#: Customers looked at together.
TOGETHER = 100


@dataclass(frozen=True)
class Noted:
    """A subscription that could be taken over, and what staff should know of it."""

    held: Held
    livemode: bool
    notes: tuple[str, ...]
    #: It has ended there: history, if anything.
    over: bool


@dataclass(frozen=True)
class Told:
    """What Stripe says of who a customer is."""

    customer: str
    #: The account's id, or external id, by the customer's metadata.
    account: str
    #: In lower case.
    email: str
    #: Nothing that it bought runs any more.
    all_over: bool


@dataclass(frozen=True)
class Whose:
    """The account that a customer belongs to; None where it may be one of several."""

    account_id: uuid.UUID | None


class Spool:
    """Filled (`keep`), then told whose each customer is (`note_whose`), then read (`customers`). A context manager."""

    def __init__(self) -> None:
        # An empty name is a file that goes with the connection.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute(
            "CREATE TABLE noted (customer TEXT, began INTEGER, reference TEXT, over INTEGER, account TEXT, email TEXT,"
            " noted BLOB, PRIMARY KEY (customer, began, reference)) WITHOUT ROWID"
        )
        self._file.execute("CREATE TABLE whose (customer TEXT PRIMARY KEY, account TEXT, way INTEGER) WITHOUT ROWID")
        self._file.execute("CREATE INDEX by_account ON whose (account, way)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def keep(self, noted: Noted, *, account: str, email: str) -> None:
        """Put a subscription aside, with what its customer says of itself."""
        held = noted.held
        began = int(held.started_at.timestamp())
        row = [held.customer_reference, began, held.reference, noted.over, account, email, pickle.dumps(noted)]
        self._file.execute("INSERT OR REPLACE INTO noted VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def told(self) -> Iterator[list[Told]]:
        """Every customer, so many at a time."""
        after = ""
        while rows := self._file.execute(
            "SELECT customer, max(account), max(email), min(over) FROM noted WHERE customer > ?"
            " GROUP BY customer ORDER BY customer LIMIT ?",
            [after, TOGETHER],
        ).fetchall():
            yield [Told(customer, account, email, bool(over)) for customer, account, email, over in rows]
            after = rows[-1][0]

    def note_whose(self, customer: str, account_id: uuid.UUID | None, way: int) -> None:
        """The customer is this account's, or may be several's (None). The lower `way`, the better we know."""
        self._file.execute("INSERT INTO whose VALUES (?, ?, ?)", [customer, account_id and account_id.hex, way])

    def is_contested(self, customer: str) -> bool:
        """Whether another customer is the same account's, and we know that as well or better."""
        found = self._file.execute(
            "SELECT 1 FROM whose AS ours JOIN whose AS other ON other.account = ours.account"
            " WHERE ours.customer = ? AND other.customer <> ours.customer AND other.way <= ours.way LIMIT 1",
            [customer],
        ).fetchone()
        return found is not None

    def whose(self, customer: str) -> Whose | None:
        """What was noted; None for nothing."""
        found = self._file.execute("SELECT account FROM whose WHERE customer = ?", [customer]).fetchone()
        return Whose(uuid.UUID(found[0]) if found[0] else None) if found else None

    def customers(self) -> Iterator[tuple[str, list[Noted]]]:
        """Each customer with all that was put aside of it, the oldest first: always in the same order."""
        with closing(self._file.cursor()) as rows:
            rows.execute("SELECT customer, noted FROM noted ORDER BY customer, began, reference")
            for customer, theirs in groupby(rows, key=lambda row: str(row[0])):
                yield customer, [pickle.loads(noted) for _customer, noted in theirs]  # noqa: S301  # our own, as above
