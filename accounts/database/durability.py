"""Commits that work does not wait for, because whatever is lost with them is done again."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection


@contextmanager
def redone_if_lost() -> Iterator[None]:
    """Don't wait until what is committed in this block is on disk: up to a second of it goes if the database crashes.

    For transactions that carry out what stands in a row, and note in the same transaction that it is done: then both
    are lost together, and it is done again. A later commit that does wait, of whatever connection, puts all earlier
    ones on disk first, so nothing that was built on them outlives them. Calls to elsewhere don't belong in here.

    Behind PgBouncer every commit is waited for: what is set for a session would be met by whoever has it next.
    """
    if settings.PGBOUNCER:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        yield
    finally:
        # A connection that was lost meanwhile is replaced by one that waits.
        if connection.connection is not None and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("RESET synchronous_commit")
