"""Statements that PostgreSQL plans once and carries out thousands of times."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor

#: A statement that a connection sends for the second time is prepared.
PREPARED_AFTER = 1


@contextmanager
def statements_prepared() -> Iterator[None]:
    """Within this block the statements of this thread's connection are prepared, and their values sent apart from them.

    For runs that send the same few statements again and again: parsing and planning are half of what a small one costs
    the server. Not for statements whose best plan depends on their values. A connection that replaces this one within
    the block sends statements as ever. Behind a pooler that gives each transaction another connection of its own, where
    Django must do without server-side cursors, nothing is prepared, either.
    """
    connection.ensure_connection()
    sent_by = connection.connection
    if sent_by is None or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        yield
        return
    before = sent_by.cursor_factory, sent_by.prepare_threshold
    sent_by.cursor_factory, sent_by.prepare_threshold = ServerBindingCursor, PREPARED_AFTER
    try:
        yield
    finally:
        sent_by.cursor_factory, sent_by.prepare_threshold = before
