"""A backup made before a purge, restored after it: the erasure log erases again, and proves it."""

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from pytest_django import Settings

from accounts.models import Certificate, Purge
from tests.accounts.erasure.dumping import dump, lines_with, restored
from tests.accounts.erasure.purging import erase_all, fill, oblige
from tests.factories import NOW, AccountFactory, UserFactory

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
DAY = timedelta(days=1)
MARKER, OTHER = "zqmk71x", "qwbystd"


def manage(url: str, data: Path, *words: str) -> str:
    """What `manage.py …` says in a process of its own, on another database."""
    done = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
        env={**os.environ, "DATABASE_URL": url, "DATA_DIR": str(data), "EMAIL_URL": f"filemail://{data}/mail"},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{done.stdout}exit {done.returncode}"


def test_what_a_restored_dump_brings_back_is_erased_again_with_proof(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    person, bystander = UserFactory(), UserFactory()
    account, elsewhere = AccountFactory(owner=person), AccountFactory(owner=bystander)
    fill(account, person, MARKER)
    fill(elsewhere, bystander, OTHER)
    # One that was erased before the backup was made, and one that is still owed when it is.
    erase_all(AccountFactory())
    oblige(account)
    backup, log = tmp_path / "backup.dump", tmp_path / "erasures.jsonl"
    backup.write_bytes(dump("--format=custom"))
    data = tmp_path / "restored"
    shutil.copytree(tmp_path / "media", data / "media")

    erase_all(account, NOW + DAY)
    # One that the backup does not know.
    erase_all(AccountFactory())
    call_command("erasures", "--export", str(log))
    assert lines_with(MARKER, person.email) == []
    others = lines_with(OTHER, bystander.email)

    with restored(backup) as url:
        assert lines_with(MARKER, url=url)
        assert manage(url, data, "erasures", "--replay", str(log)) == (
            f"{account.pk} erased again, certificate 2\n1 erased again, 2 not in this database, 0 failed.\nexit 0"
        )
        assert lines_with(MARKER, person.email, url=url) == []
        assert lines_with(OTHER, bystander.email, url=url) == others
        assert sorted(path.read_text() for path in data.rglob("*.svg")) == [OTHER, OTHER]
        assert manage(url, data, "certificates", "--verify") == "2 certificates, all sound.\nexit 0"
        with psycopg.connect(url) as there:
            proof = there.execute(
                "SELECT account_id, body->'left', body->>'replay_of', (body->'erased'->'blueprints.Blueprint')::int"
                "  FROM accounts_certificate WHERE number = 2"
            ).fetchall()
        first = Certificate.objects.get(account_id=account.pk)
        assert proof == [(account.pk, 0, first.body["verified_at"], 1)]
    # The system that was not restored knows nothing of all this.
    assert Certificate.objects.count() == Purge.objects.exclude(verified_at=None).count() == 3
