"""Walking through a table: erasing an account's rows in the order in which they lie on the disk.

An index leads to an account's rows in its own order: for an account that owns a good part of a large table nearly
every row is a jump to another page. Walking reads each page once and erases what it finds there, a few thousand pages
a statement (measured: three to four times the rows a second). For an account that is thin on the pages, walking would
read much of others for little; then the index is better, so `is_worthwhile` looks at a sample first.

The index still leads to every row that was erased, and following it one by one took longer than erasing. What
has to look behind a walk therefore asks for a bitmap (`accounts.erasure.runner`): that, too, visits the pages in their
order.
"""

import uuid
from dataclasses import dataclass
from typing import ClassVar

from django.db import connection

from accounts.erasure.file_deletions import insert_statement

#: Pages looked at to decide whether walking is worthwhile.
SAMPLE = 200


@dataclass(frozen=True)
class Walk:
    """A table whose `column` says to which account a row belongs; `files` are columns that name files. Quoted names."""

    table: str
    column: str
    files: tuple[str, ...] = ()

    #: SQL for the number of pages that the table has just now. One parameter: its name.
    _pages: ClassVar[str] = "pg_relation_size(%s::regclass) / current_setting('block_size')::int"

    def pages(self) -> int:
        """How many pages the table has just now."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self._pages}", [self.table])  # a constant
            (pages,) = cursor.fetchone()
            return int(pages)

    def is_worthwhile(self, account_id: uuid.UUID) -> bool:
        """Whether the account has, on average, a row on every page."""
        pages = self.pages()
        share = min(1.0, SAMPLE / max(pages, 1))
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM {self.table} TABLESAMPLE SYSTEM (%s) WHERE {self.column} = %s",  # noqa: S608  # our own names
                [share * 100, account_id],
            )
            (rows,) = cursor.fetchone()
        return bool(rows >= pages * share)

    def erase(self, account_id: uuid.UUID, page: int, limit: int) -> tuple[int, int | None]:
        """Erase up to `limit` rows from `page` on, in the caller's transaction; their files are written down.

        Looks at `limit` pages at most. Returns how many rows went, and the page to go on with; None if `page` is
        beyond the end already.
        """
        # The inner query is fenced off, so that no plan goes by the index whatever the statistics say.
        statement = f"""
            WITH places AS MATERIALIZED (
                SELECT place FROM (
                    SELECT ctid AS place, {self.column} AS account FROM {self.table}
                     WHERE ctid >= %s::tid AND ctid < %s::tid OFFSET 0
                ) AS page
                 WHERE account = %s LIMIT %s
            ), gone AS (
                DELETE FROM {self.table} WHERE ctid = ANY(ARRAY(SELECT place FROM places))
                RETURNING {", ".join(self.files) or "1"}
            ){f", files AS ({insert_statement('gone', self.files)})" if self.files else ""}
            SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM places),
                   (SELECT (max(place)::text::point)[0]::bigint FROM places), {self._pages}
        """  # noqa: S608  # our own names
        bounds = [f"({page},0)", f"({page + limit},0)"]
        with connection.cursor() as cursor:
            cursor.execute(statement, [*bounds, account_id, limit, *[account_id] * len(self.files), self.table])
            erased, found, last, pages = cursor.fetchone()
        if page >= pages:
            return int(erased), None
        # A full chunk may have ended in the middle of its last page.
        return int(erased), int(last) if found == limit else page + limit
