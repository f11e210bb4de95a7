"""`manage.py migrate` gives way rather than let everybody wait behind it."""

from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.accounts.erasure.dumping import database_url

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]


def left_behind() -> list[tuple[str, ...]]:
    """What the session's limits are afterwards."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        return list(cursor.fetchall())


def test_a_migration_that_waits_for_a_lock_gives_way_and_can_be_run_again() -> None:
    with psycopg.connect(database_url()) as other:
        # Somebody's long transaction.
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(CommandError, match=r"in use for longer than 1 s.*Run it again"):
            call_command("migrate", lock_timeout=1, stdout=StringIO())
    said = StringIO()
    call_command("migrate", stdout=said)
    assert "No migrations to apply." in said.getvalue()
    assert left_behind() == [("0", "0")]


def test_a_statement_that_takes_for_ever_is_ended() -> None:
    with psycopg.connect(database_url()) as other:
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(CommandError, match=r"longer than 1 s.*larger --statement-timeout"):
            call_command("migrate", lock_timeout=0, statement_timeout=1, stdout=StringIO())
    assert left_behind() == [("0", "0")]
