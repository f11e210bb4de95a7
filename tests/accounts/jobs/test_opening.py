"""A restored database is closed until the log of erasures has been replayed."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.jobs import opening, sweeps
from accounts.models import Account, Delivery, Notice, Opening, SweepRun, User
from accounts.tasks import sweep
from tests.accounts.erasure.purging import erase_all
from tests.accounts.inbox.test_middleware import knock
from tests.factories import NOW, AccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def closed() -> Iterator[None]:
    """As a restore leaves it: what the migration wrote is not there."""
    Opening.objects.all().delete()
    opening.known.forget()
    yield
    opening.known.forget()


def test_a_new_database_is_open() -> None:
    assert Opening.objects.get().cause == "new"
    opening.known.forget()
    assert opening.known.is_open()


def test_that_it_is_open_is_not_asked_again_with_every_request() -> None:
    opening.known.remember_open()
    Opening.objects.all().delete()
    assert Client().get("/auth/login/").status_code == 200
    opening.known.forget()
    assert Client().get("/auth/login/").status_code == 503


@pytest.mark.usefixtures("closed")
def test_nobody_is_let_in_while_it_is_closed(owner: User, account: Account) -> None:
    client = Client(headers={"Accept-Language": "fr"})
    client.force_login(owner)
    for path in ("/", "/user/subscription/", "/auth/login/", "/admin/"):
        answer = client.get(path)
        assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "De retour bientôt" in answer.content.decode()
    machine = client.get(
        f"/api/accounts/{account.pk}/entitlements/", headers={"Authorization": "Bearer test-api-token"}
    )
    assert (machine.status_code, machine.json()["error"]) == (503, "service_unavailable")


@pytest.mark.usefixtures("closed")
def test_marketplaces_are_told_to_come_again_and_nothing_is_stored() -> None:
    assert knock(Client()).status_code == 503
    assert not Delivery.objects.exists()


@pytest.mark.usefixtures("closed")
def test_whoever_watches_is_told_why() -> None:
    assert Client().get("/healthz/").status_code == 200
    answer = Client().get("/readyz/")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "problems": ["restored"]})
    told = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("doctor", stdout=told)
    assert told.getvalue() == f"restored: {opening.Closed()}\n"


@pytest.mark.usefixtures("closed")
def test_sweeps_do_nothing_and_note_nothing(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("settle", "purge"):
        sweep(name)
        with pytest.raises(opening.Closed):
            sweeps.run_and_note(sweeps.named(name), NOW)
    with pytest.raises(CommandError, match="Failed: settle"):
        call_command("sweep", "settle", stdout=StringIO())
    assert "settle: not run: the database was restored" in caplog.text
    assert not SweepRun.objects.exists()
    assert not Notice.objects.exists()


@pytest.mark.usefixtures("closed")
def test_a_replay_opens_it_once(tmp_path: Path) -> None:
    log = str(tmp_path / "erasures.jsonl")
    call_command("erasures", "--export", log, stdout=StringIO())
    first, second = StringIO(), StringIO()
    call_command("erasures", "--replay", log, stdout=first)
    call_command("erasures", "--replay", log, stdout=second)
    assert "The restored database is open now." in first.getvalue()
    assert "open now" not in second.getvalue()
    assert Opening.objects.get().cause == "replayed"
    assert Client().get("/auth/login/").status_code == 200


def test_a_log_from_before_the_backup_opens_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    log = tmp_path / "erasures.jsonl"
    call_command("erasures", "--export", str(log), stdout=StringIO())
    erase_all(AccountFactory())
    request.getfixturevalue("closed")
    with pytest.raises(CommandError, match="the log is older than the backup: it ends before certificate 1"):
        call_command("erasures", "--replay", str(log), stdout=StringIO())
    assert not opening.known.is_open()
