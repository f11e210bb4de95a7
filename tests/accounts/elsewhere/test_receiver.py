"""The store in docs/receivers that a product's engineer copies: run as it stands, asked as we ask."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.test import override_settings

from accounts.core import clock
from accounts.elsewhere.runner import ask_due
from accounts.elsewhere.store import RemoteStore
from accounts.erasure.runner import purge_due
from accounts.models import Account, Certificate, User
from accounts.outgoing.signing import make_secret, signed
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW

pytestmark = pytest.mark.django_db
PROGRAM = Path(settings.BASE_DIR) / "docs/receivers/store.py"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RemoteStore]:
    secret = make_secret()
    environment = {**os.environ, "STORE_SECRET": secret, "STORE_DATABASE": str(tmp_path / "store.sqlite")}
    process = subprocess.Popen([sys.executable, PROGRAM, "0"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("A store at ").strip().rstrip("/")
        yield RemoteStore("copied", address, (secret,), promised_days=1, calls_a_second=500)
    finally:
        process.kill()
        process.wait()


def documents(tmp_path: Path, account: object) -> int:
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        (count,) = database.execute("SELECT count(*) FROM documents WHERE account = ?", (str(account),)).fetchone()
    return int(count)


def test_the_store_to_copy_erases_counts_and_is_certified(
    store: RemoteStore, account: Account, owner: User, tmp_path: Path
) -> None:
    User.objects.filter(pk=owner.pk).update(external_id="u-7")
    lines = [(str(account.pk), "u-7", "one"), ("another", "u-7", "of the same person"), ("another", "u-8", "stays")]
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        database.executemany("INSERT INTO documents VALUES (?, ?, ?)", lines)
    with override_settings(REMOTE_STORES=[store]):
        oblige(account)
        purge_due(NOW)
        assert ask_due(NOW) == 1
        assert purge_due(NOW) == 1
    (entry,) = Certificate.objects.get().body["elsewhere"]
    assert (entry["erased"], entry["left"], entry["version"]) == ({"documents": 2}, 0, "1")
    assert (documents(tmp_path, account.pk), documents(tmp_path, "another")) == (0, 1)


def test_the_store_to_copy_believes_nobody_else(store: RemoteStore) -> None:
    body = b'{"type": "erasure.requested"}'
    request, now = str(uuid.uuid4()), clock.now()
    (secret,) = store.secrets
    forged = signed(request, body, keys=[make_secret()], at=now)
    old = signed(request, body, keys=[secret], at=now.fromtimestamp(time.time() - 301, tz=now.tzinfo))
    for headers in ({}, forged, old):
        assert httpx.post(store.address, content=body, headers=headers).status_code == 401


def test_the_store_to_copy_erases_for_nothing_but_an_erasing(
    store: RemoteStore, account: Account, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        database.execute("INSERT INTO documents VALUES (?, 'u-7', 'one')", (str(account.pk),))
    asked: dict[str, object] = {"request": str(uuid.uuid4()), "account": str(account.pk), "people": []}
    body = json.dumps({"type": "export.requested", "data": asked}).encode()
    (secret,) = store.secrets
    headers = signed(str(asked["request"]), body, keys=[secret], at=clock.now())
    answer = httpx.post(store.address, content=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (422, "refused")
    assert documents(tmp_path, account.pk) == 1
