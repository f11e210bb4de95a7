"""What a whole dump, the storage, the mails handed over, the cache and the broker still hold after a purge."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.test import Client, override_settings
from pytest_django import Settings

from accounts.elsewhere.runner import ask_due
from accounts.elsewhere.store import of_setting
from accounts.erasure import inventory
from accounts.erasure.runner import take_turn
from accounts.mail.notices import queue
from accounts.mail.sending import send_due
from accounts.models import Account, DepartingPerson, Event, Purge, User
from accounts.signing_in.session import SessionStore
from accounts.tasks import sweep
from tests.accounts.erasure.dumping import files_with, holds, keys_with, lines_with
from tests.accounts.erasure.purging import erase_all, files, fill, fill_account, fill_person, oblige
from tests.factories import NOW, AccountFactory, BlueprintFactory, UserFactory
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
MARKER, OTHER, PERSONAL = "zqmk71x", "qwbystd", "vhperso"


@pytest.fixture(autouse=True)
def folders(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    settings.EMAIL_BACKEND = "config.mail.FolderBackend"


def use(client: Client, person: User, marker: str) -> None:
    """Leave traces as a person does: in sessions, in cache and broker, in mails that were handed over."""
    session = client.session
    session["searched"] = [marker, person.email] * 20
    session.save()
    half_way = SessionStore()
    half_way["account_login"] = {"email": person.email}
    half_way.save()
    Client().post("/auth/login/", {"login": person.email, "password": marker})
    Client().post("/auth/password/reset/", {"email": person.email})
    sweep.delay("purge")


def write_to(*accounts: Account) -> None:
    """Have a mail about each account handed over to its owner."""
    for account in accounts:
        occasion = f"export of {account.name}"
        queue("accounts/export_ready", to=[account.owner()], account=account, occasion=occasion, at=NOW, expires_at=NOW)
    assert send_due(NOW) == len(accounts)


def asked(store: TestStore) -> override_settings:
    """Within: this store is to erase, too."""
    listed, _wrong = of_setting(json.dumps([store.configured()]), https=False)
    return override_settings(REMOTE_STORES=listed)


def test_nothing_of_the_account_is_left_anywhere_and_everything_of_others_is(sign_in: SignIn) -> None:
    person, bystander = UserFactory(), UserFactory()
    account, elsewhere = AccountFactory(name=MARKER, owner=person), AccountFactory(name=OTHER, owner=bystander)
    write_to(account, elsewhere)
    fill(account, person, MARKER)
    fill(elsewhere, bystander, OTHER)
    for someone, marker in ((person, MARKER), (bystander, OTHER)):
        use(sign_in(someone), someone, marker)
    traces = (MARKER, person.email)
    others = (OTHER, bystander.email)
    # A nudge for what somebody waits for comes at most once a second in a process, so its queue may be empty.
    assert "slow" in keys_with("accounts.sweep"), "the broker is not searched"
    tables = {line.split("\t")[0] for line in lines_with(*traces)}
    assert len(tables) >= 20
    assert "accounts_session" in tables
    assert len(files_with(*traces)) == len(files_with(*others)) == 4
    before, kept_files = lines_with(*others), files_with(*others)

    # A store elsewhere holds something of both, too.
    with TestStore() as store, asked(store):
        store.put(account.pk, "documents", MARKER, person=person.external_id)
        store.put(elsewhere.pk, "documents", OTHER, person=bystander.external_id)
        assert not take_turn(oblige(account), NOW + DAY)
        assert ask_due(NOW + DAY) == 1
        row = Purge.objects.get(account_id=account.pk)
        assert take_turn(row, NOW + DAY)
        row.refresh_from_db()
        assert store.holds(MARKER) == []
        assert len(store.holds(OTHER)) == 1

    assert lines_with(*traces) == []
    assert files_with(*traces) == []
    assert keys_with(*traces) == []
    assert not default_storage.exists(f"thumbnails/{account.pk}")
    assert lines_with(*others) == before
    assert files_with(*others) == kept_files
    # What stays of the account is its number, in the records that the law asks for, and in what others are still told:
    # that it is gone.
    assert {line.split("\t")[0] for line in lines_with(str(account.pk))} == {
        "accounts_certificate",
        "accounts_deed",
        "accounts_event",
        "accounts_eventmessage",
        "accounts_hold",
        "accounts_purge",
        "accounts_remoteerasure",
        "marketplace_delivery",
        "marketplace_offboarding",
        "marketplace_tombstone",
        "subscriptions_billingrecord",
        "subscriptions_forgettingstep",
    }
    assert set(Event.objects.filter(account=account.pk).values_list("kind", flat=True)) >= {
        "purge.scheduled",
        "purge.started",
        "purge.verified",
    }
    assert all(noted["done"] for noted in row.progress.values())
    every = {store.name for store in inventory.stores()} | {"files", "mail folder"}
    assert {name for name, count in row.erased().items() if count} >= {
        name for name in every if "(" not in name and not name.startswith("accounts.Hold")
    }
    assert row.erased()["files"] == row.erased()["mail folder"] == 2
    assert not DepartingPerson.objects.exists()


def test_of_a_person_in_two_accounts_only_the_traces_of_the_purged_one_go(sign_in: SignIn) -> None:
    person = UserFactory()
    account, elsewhere = AccountFactory(name=MARKER, owner=person), AccountFactory(name=OTHER, owner=person)
    write_to(account, elsewhere)
    fill_account(account, person, MARKER)
    fill_account(elsewhere, person, OTHER)
    fill_person(elsewhere, person, PERSONAL)
    browser = sign_in(person)
    use(browser, person, PERSONAL)
    kept = lines_with(OTHER, PERSONAL, person.email)
    kept_files = [name for name in files_with(OTHER, PERSONAL, person.email) if name not in files_with(MARKER)]
    assert len(kept_files) == 4
    assert len(lines_with(MARKER)) >= 10

    erase_all(account, NOW + DAY)

    assert lines_with(MARKER) == []
    assert files_with(MARKER) == []
    assert keys_with(MARKER) == []
    assert lines_with(OTHER, PERSONAL, person.email) == kept
    assert files_with(OTHER, PERSONAL, person.email) == kept_files
    assert list(person.accounts.all()) == [elsewhere]
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    "wrapped",
    [
        b"a line with Zqmk71X in it",
        rb"\\x" + MARKER.encode().hex().encode(),
        b'{"body": "W1sienFtazcxeCJdLCB7fV0="}',
    ],
)
def test_the_search_finds_what_is_wrapped(wrapped: bytes) -> None:
    assert holds(wrapped, MARKER)
    assert not holds(wrapped, OTHER)


def test_the_search_finds_what_is_in_cache_and_files() -> None:
    cache.set("searched", {"by": [MARKER]})
    try:
        assert keys_with(MARKER) == ["offboard:1:searched"]
    finally:
        cache.delete("searched")
    blueprint = BlueprintFactory(name=MARKER)
    blueprint.redraw_thumbnail()
    assert lines_with(MARKER)[0].startswith("accounts_blueprint\t")
    assert len(files()) == 1
