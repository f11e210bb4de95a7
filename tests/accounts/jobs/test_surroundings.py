"""What must be so around the rows: schema, storage, clock, workers."""

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from pytest_django import Settings

from accounts.core import clock
from accounts.jobs import invariants, surroundings, sweeps
from accounts.jobs.queues import Queue
from accounts.models import SweepRun
from tests.factories import NOW, AccountFactory

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def ran(queue: Queue, *, ago: timedelta) -> None:
    for sweep in sweeps.registered():
        if sweep.queue is queue:
            SweepRun.objects.create(name=sweep.name, started_at=NOW - ago, finished_at=NOW - ago)


def test_a_migration_that_the_database_lacks_is_named() -> None:
    assert surroundings.migrations(NOW) is None
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'marketplace' AND name LIKE '0002%'")
    fault = surroundings.migrations(NOW)
    assert fault is not None
    assert [name.split("_")[0] for name in fault.examples] == ["marketplace.0002"]
    (violation,) = [found for found in invariants.violations(NOW) if found.name == "migration-pending"]
    assert str(violation).startswith("migration-pending: 1 migrations have not been applied (marketplace.0002_")


def test_rows_of_a_product_that_was_taken_out_are_named_until_they_are_gone() -> None:
    account = AccountFactory()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE notes_note (account_id uuid REFERENCES accounts_account)")
        # Of nobody's: somebody else's table in the same database is none of our troubles.
        cursor.execute("CREATE TABLE elsewhere (id int)")
        cursor.execute("INSERT INTO elsewhere VALUES (1)")
        assert surroundings.left_behind(NOW) is None, "an empty table is nobody's data"
        cursor.execute("INSERT INTO notes_note VALUES (%s)", [account.pk])
    fault = surroundings.left_behind(NOW)
    assert fault is not None
    assert fault.examples == ["notes_note"]
    (violation,) = [found for found in invariants.violations(NOW) if found.name == "left-behind"]
    assert str(violation) == (
        "left-behind: 1 tables hold rows of accounts that no app erases: put it back, or remove them by its migrations "
        "(notes_note)"
    )


def test_a_database_that_is_ahead_of_this_version_is_none_of_its_troubles() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '9999_newer', now())")
    assert surroundings.migrations(NOW) is None


def test_a_folder_that_takes_no_files_is_said(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media" / "deep"
    assert isinstance(default_storage, FileSystemStorage)
    assert surroundings.storage(NOW) is None
    # No file can be made below a file, whoever we are.
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file"
    fault = surroundings.storage(NOW)
    assert fault is not None
    assert fault.examples == ["Not a directory"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(("seconds", "said"), [(0, None), (3, None), (-60, ["+60 s"]), (3600, ["-3600 s"])])
def test_a_clock_that_differs_from_the_databases_by_more_than_five_seconds_is_said(
    seconds: int, said: list[str] | None
) -> None:
    with time_machine.travel(clock.now() + timedelta(seconds=seconds), tick=False):
        fault = surroundings.clocks(clock.now())
    assert (fault.examples if fault else None) == said


@pytest.mark.parametrize(("now", "slow", "without"), [(1, 1, None), (1, 22, None), (1, 23, ["slow"]), (8, 1, ["now"])])
def test_a_queue_in_which_nothing_ends_though_beat_lives_has_no_worker(
    now: int, slow: int, without: list[str] | None
) -> None:
    """A run may take twenty minutes in `slow`: only what is silent for longer than that has nobody."""
    ran(Queue.NOW, ago=now * MINUTE)
    ran(Queue.SLOW, ago=slow * MINUTE)
    fault = surroundings.workers(NOW)
    assert (fault.examples if fault else None) == without


def test_with_no_worker_at_all_it_is_beat_that_is_missed() -> None:
    assert surroundings.workers(NOW) is None
    ran(Queue.NOW, ago=8 * MINUTE)
    assert surroundings.workers(NOW) is None
