"""`backup` and `restore`: nothing that was erased is seen again, not even for a moment, and nothing else is lost."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from accounts.models import Account, Certificate
from tests.accounts.erasure.dumping import database_url, lines_with, program
from tests.accounts.erasure.purging import erase_all, fill
from tests.factories import NOW, AccountFactory, UserFactory

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
DAY = timedelta(days=1)
MARKER, OTHER = "zqmk71x", "qwbystd"
#: Who asks at a door of the API without a token, and who watches.
ASKS = (
    "import django; django.setup(); from django.test import Client\n"
    "for path in ('/api/accounts/5f1c8f6e-3a52-4f5e-9a39-0d1f0d8f7a11/entitlements/', '/healthz/', '/readyz/'):\n"
    "    answer = Client().get(path); print(answer.status_code, answer.json().get('problems', ''))"
)
CLOSED = "503 \n200 \n503 ['restored']\nexit 0"


@contextmanager
def empty_database() -> Iterator[str]:
    """A new database beside the test's: its DATABASE_URL."""
    name = f"{connection.settings_dict['NAME']}_new"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield database_url(name)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(url: str, data: Path, *words: str) -> str:
    """What a command says in a process of its own, on another database."""
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DATA_DIR": str(data),
        "EMAIL_URL": f"filemail://{data}/mail",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    return f"{done.stdout}{done.stderr if words[0] == 'manage.py' else ''}exit {done.returncode}"


def manage(url: str, data: Path, *words: str) -> str:
    return run(url, data, "manage.py", *words)


def backed_up(folder: Path) -> str:
    told = StringIO()
    call_command("backup", str(folder), stdout=told)
    return told.getvalue()


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


def test_a_restored_backup_lets_nobody_in_before_the_log_has_been_replayed(tmp_path: Path, media: Path) -> None:
    person, bystander = UserFactory(), UserFactory()
    account, elsewhere = AccountFactory(owner=person), AccountFactory(owner=bystander)
    fill(account, person, MARKER)
    fill(elsewhere, bystander, OTHER)
    erase_all(AccountFactory())
    folder = tmp_path / "backup"
    assert "a log of 1 erasures, a list of 4 stored files" in backed_up(folder)
    # Erased after the backup: only a newer log knows of it.
    erase_all(account, NOW + DAY)
    newest = tmp_path / "newest.jsonl"
    call_command("erasures", "--export", str(newest), stdout=StringIO())
    others = lines_with(OTHER, bystander.email)

    with empty_database() as url:
        data = tmp_path / "data"
        told = manage(url, data, "restore", str(folder))
        assert "The database is closed." in told
        assert "4 of 4 stored files are missing" in told
        assert "manage.py erasures --replay" in told
        assert lines_with(MARKER, url=url)
        # Closed from the first moment on: to people, to sweeps, and after a migration, too.
        assert "exit 0" in manage(url, data, "migrate", "--verbosity", "0")
        assert run(url, data, "-c", ASKS) == CLOSED
        assert "settle: failed: Closed: the database was restored" in manage(url, data, "sweep", "settle")
        assert manage(url, data, "erasures", "--replay", str(newest)) == (
            f"{account.pk} erased again, certificate 2\n1 erased again, 1 not in this database, 0 failed.\n"
            "The restored database is open now.\nexit 0"
        )
        assert run(url, data, "-c", ASKS).startswith("401 ")
        assert lines_with(MARKER, person.email, url=url) == []
        assert lines_with(OTHER, bystander.email, url=url) == others
        with psycopg.connect(url) as there:
            assert there.execute("SELECT cause FROM accounts_opening").fetchall() == [("replayed",)]
    assert Certificate.objects.count() == 2


def test_restored_by_hand_it_is_closed_too(tmp_path: Path) -> None:
    backed_up(tmp_path / "backup")
    with empty_database() as url:
        command = [program("pg_restore"), "--dbname", url, str(tmp_path / "backup" / "database.dump")]
        subprocess.run(command, check=True, capture_output=True)
        assert run(url, tmp_path / "data", "-c", ASKS) == CLOSED


def test_a_backup_is_for_whoever_runs_the_product_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "backup"
    backed_up(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()} == dict.fromkeys(
        ("database.dump", "erasures.jsonl", "files.jsonl", "manifest.json"), "0o600"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest["files"]) == ["database.dump", "erasures.jsonl", "files.jsonl"]
    log = folder / "erasures.jsonl"
    assert log.stat().st_mtime_ns >= (folder / "database.dump").stat().st_mtime_ns


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(CommandError, match=r"No backup was made: .* is not empty"):
        backed_up(tmp_path)
    backed_up(tmp_path / "backup")
    before = (tmp_path / "backup" / "manifest.json").read_bytes()
    with pytest.raises(CommandError, match="is not empty"):
        backed_up(tmp_path / "backup")
    assert (tmp_path / "backup" / "manifest.json").read_bytes() == before


def test_what_is_no_whole_backup_is_not_restored(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    backed_up(folder)
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for path, content in whole.items():
        path.unlink()
        with pytest.raises(CommandError, match=path.name):
            call_command("restore", str(folder))
        path.write_bytes(content)
    dump = folder / "database.dump"
    dump.write_bytes(whole[dump][:-1])
    with pytest.raises(CommandError, match=r"Nothing was restored: .* its hash differs"):
        call_command("restore", str(folder))


def test_nothing_is_restored_over_what_is_there_nor_beside_somebody(tmp_path: Path) -> None:
    account = AccountFactory()
    folder = tmp_path / "backup"
    backed_up(folder)
    with pytest.raises(CommandError, match="the database is not empty"):
        call_command("restore", str(folder))
    assert Account.objects.get() == account
    with empty_database() as url, psycopg.connect(url):
        told = manage(url, tmp_path / "data", "restore", str(folder))
        assert "1 others are connected to the database: stop web server, workers and beat first" in told
