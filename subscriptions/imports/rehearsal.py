"""What a dry run has seen so far: it writes nothing to the database, so it remembers by itself what a file says twice.

In a temporary file of SQLite's, not in memory: a million rows take no more of it than a hundred.
"""

import sqlite3


class Rehearsed:
    """The customers whom the import would bring in, each with the row that would do so."""

    def __init__(self) -> None:
        # An empty name is a file that goes with the connection.
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("CREATE TABLE seen (customer BLOB PRIMARY KEY, content BLOB) WITHOUT ROWID")

    def told(self, customer: bytes) -> bytes | None:
        """The hash of the row that told of this customer first; None if none has yet."""
        first = self._seen.execute("SELECT content FROM seen WHERE customer = ?", [customer]).fetchone()
        return bytes(first[0]) if first else None

    def note(self, customer: bytes, content: bytes) -> None:
        """This row would make the customer's account."""
        self._seen.execute("INSERT INTO seen VALUES (?, ?)", [customer, content])
