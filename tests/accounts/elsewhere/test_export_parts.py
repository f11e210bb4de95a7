"""A data export holds what stores elsewhere hand out, and says what is missing from it."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core import mail
from django.core.files.storage import default_storage
from django.db import connection
from django.test import override_settings
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.elsewhere.collecting import collect_due
from accounts.elsewhere.gate import StoreGate
from accounts.elsewhere.remote_export import Absence, RemoteExport
from accounts.elsewhere.runner import discover
from accounts.elsewhere.signed_call import send
from accounts.elsewhere.store import RemoteStore, named, stores
from accounts.erasure.runner import take_turn
from accounts.exports.builder import export_due
from accounts.exports.export import Export, ask
from accounts.jobs.invariants import violations
from accounts.mail.sending import send_due
from accounts.models import Account, Event, User
from tests.accounts.elsewhere.conftest import configured
from tests.accounts.erasure.purging import files, oblige, start_due
from tests.factories import NOW, AccountFactory
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def crm(analytics: TestStore) -> TestStore:
    analytics.exports = True
    return analytics


@pytest.fixture
def one_store(crm: TestStore) -> Iterator[RemoteStore]:
    (listed,) = configured(crm)
    with override_settings(REMOTE_STORES=[listed]):
        discover([listed], NOW)
        yield listed


def asked(account: Account) -> Export:
    owner = account.owner()
    assert owner
    export, _new = ask(account, by=Actor.owner(owner), at=NOW)
    return export


def archive_of(export: Export) -> zipfile.ZipFile:
    export.refresh_from_db()
    assert export.file.name
    with default_storage.open(export.file.name) as file:
        return zipfile.ZipFile(io.BytesIO(file.read()))


def built(export: Export, at: datetime = NOW) -> zipfile.ZipFile:
    assert export_due(at) == 1
    return archive_of(export)


def test_what_a_store_hands_out_is_in_the_archive_with_its_schema_beside(
    account: Account, owner: User, crm: TestStore, one_store: RemoteStore
) -> None:
    Account.objects.filter(pk=account.pk).update(external_id="harbour-7")
    crm.exports_as = "fetched"
    for number in range(3):
        crm.put(account.pk, "documents", f"document {number}")
    crm.put("another", "documents", "of somebody else")
    export = asked(account)
    assert export_due(NOW) == 0, "it waits for the store"
    assert collect_due(NOW) == 1

    archive = built(export)

    lines = archive.read("elsewhere/analytics/data.jsonl").decode().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["document 0", "document 1", "document 2"]
    schema = json.loads(archive.read("elsewhere/analytics/schema.json"))
    assert (schema["type"], sorted(schema["items"]["properties"])) == ("array", ["kind", "text"])
    readme = archive.read("README.txt").decode()
    assert "elsewhere/analytics/: what the system “analytics” holds" in readme
    assert "MISSING" not in readme
    (wanted,) = crm.wanted.values()
    data = wanted.message["data"]
    assert (data["account"], data["external_id"], data["formats"]) == (str(account.pk), "harbour-7", ["jsonl"])
    assert [person["id"] for person in data["people"]] == [owner.pk]
    assert crm.left_of(account.pk) == 3, "nothing is erased by it"
    # It is in the archive now: the part itself goes with the next run.
    assert len(files()) == 2
    collect_due(NOW)
    assert len(files()) == 1


@pytest.mark.parametrize("how", ["in_body", "fetched"])
def test_a_store_that_holds_nothing_delivers_an_empty_file(
    account: Account, crm: TestStore, one_store: RemoteStore, how: str
) -> None:
    crm.exports_as = how
    export = asked(account)
    assert collect_due(NOW) == 1
    assert built(export).read("elsewhere/analytics/data.jsonl") == b""


def test_one_that_answers_later_is_asked_after(account: Account, crm: TestStore, one_store: RemoteStore) -> None:
    crm.exports_as = "later"
    crm.put(account.pk)
    export = asked(account)
    assert collect_due(NOW) == 0
    assert collect_due(NOW + HOUR) == 0
    assert collect_due(NOW + 3 * HOUR) == 1
    assert len(built(export, NOW + 3 * HOUR).read("elsewhere/analytics/data.jsonl").splitlines()) == 1
    assert crm.posts() == ["/erasures"]
    assert len(crm.wanted) == 1


def test_a_part_that_can_not_be_written_down_is_in_nobodys_way_and_is_named_by_doctor(
    account: Account, crm: TestStore, one_store: RemoteStore
) -> None:
    other = AccountFactory()
    for each in (account, other):
        crm.put(each.pk)
        asked(each)
    bad = RemoteExport.objects.get(account=account)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF NEW.id = {bad.pk} AND (NEW.delivered_at IS NOT NULL OR NEW.missing_at IS NOT NULL) THEN "
            "RAISE EXCEPTION 'poison' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$; "
            "CREATE TRIGGER zz_poison BEFORE UPDATE ON accounts_remoteexport FOR EACH ROW EXECUTE FUNCTION poison()"
        )
    assert collect_due(NOW) == 1
    bad.refresh_from_db()
    assert (bad.last_error, bad.delivered_at) == ("CheckViolation: poison", None)
    assert RemoteExport.objects.get(account=other).delivered_at == NOW
    named_by_doctor = {violation.name for violation in violations(bad.until + 2 * HOUR)}
    assert "export-elsewhere-overdue" in named_by_doctor


LIES = (
    "of_another_origin",
    "of_another_hash",
    "of_another_length",
    "without_hash",
    "too_long",
    "no_lines",
    "no_objects",
    "says_ok",
    "redirects",
    "fails",
    "not_found",
    "vanishes",
    "never",
)


@pytest.mark.parametrize("how", LIES)
def test_what_is_not_as_it_should_be_is_not_taken_and_after_a_day_it_is_missing(
    account: Account, crm: TestStore, one_store: RemoteStore, how: str
) -> None:
    crm.exports_as = how
    crm.put(account.pk)
    export = asked(account)
    assert collect_due(NOW) == 0
    row = RemoteExport.objects.get()
    assert row.last_error
    assert (row.file, row.delivered_at) == ("", None)
    assert files() == []
    assert export_due(NOW + 23 * HOUR) == 0
    assert collect_due(NOW + DAY) == 1
    assert not Export.objects.overdue(NOW + DAY).exists(), "the day that it waited for others is not ours"
    archive = built(export, NOW + DAY)
    assert not [name for name in archive.namelist() if name.startswith("elsewhere/")]
    assert "MISSING from this archive" in archive.read("README.txt").decode()
    assert "  analytics: it did not deliver in time\n" in archive.read("README.txt").decode()


def test_what_is_missing_is_named_in_the_mail_on_the_page_and_in_the_history(
    account: Account, owner: User, crm: TestStore, one_store: RemoteStore, sign_in: object
) -> None:
    crm.exports_as = "refuses"
    export = asked(account)
    assert callable(sign_in)
    browser = sign_in(owner)
    assert "We are collecting what another system holds." in browser.get("/user/export/").content.decode()
    assert collect_due(NOW) == 1
    assert RemoteExport.objects.get().absence == Absence.REFUSED
    archive = built(export)
    assert "  analytics: it refuses to hand it out\n" in archive.read("README.txt").decode()
    assert Event.objects.get(account_id=account.pk, kind="export.ready").facts["missing"] == "analytics"
    send_due(NOW)
    (sent,) = [letter for letter in mail.outbox if "export" in letter.subject]
    assert "so it is missing from the archive: analytics." in sent.body
    assert "All data of" not in sent.body


def test_asked_for_again_the_store_is_asked_again(account: Account, crm: TestStore, one_store: RemoteStore) -> None:
    crm.exports_as = "refuses"
    crm.put(account.pk)
    first = asked(account)
    collect_due(NOW)
    built(first)
    crm.exports_as = "in_body"
    again = asked(account)
    assert collect_due(NOW) == 1
    assert len(built(again).read("elsewhere/analytics/data.jsonl").splitlines()) == 1
    assert len(crm.wanted) == 2


def test_what_is_to_be_erased_soon_does_not_wait_into_the_erasing(
    account: Account, crm: TestStore, one_store: RemoteStore
) -> None:
    crm.exports_as = "never"
    oblige(account, due_at=NOW + 5 * HOUR)
    export = asked(account)
    collect_due(NOW)
    assert RemoteExport.objects.get().until == NOW + 3 * HOUR
    assert collect_due(NOW + 3 * HOUR) == 1
    assert "MISSING" in built(export, NOW + 3 * HOUR).read("README.txt").decode()


def test_once_the_erasing_has_begun_nothing_is_collected_and_nothing_is_left(
    account: Account, crm: TestStore, one_store: RemoteStore, settings: Settings
) -> None:
    crm.put(account.pk)
    asked(account)
    collect_due(NOW)
    assert len(files()) == 1
    purge = oblige(account)
    start_due(NOW)
    crm.wanted.clear()
    assert collect_due(NOW) == 0
    assert crm.wanted == {}
    take_turn(purge, NOW)
    assert files() == []
    assert not RemoteExport.objects.exists()


def test_what_is_handed_on_piece_by_piece_ends_at_the_cap(crm: TestStore, one_store: RemoteStore) -> None:
    """How a part that comes in the answer is kept from filling the disk."""
    crm.put("somebody", text="x" * 5000)
    message = {"type": "export.requested", "data": {"request": str(uuid4()), "account": "somebody"}}
    taken: list[bytes] = []
    answer = send(
        one_store,
        "POST",
        one_store.address,
        request=uuid4(),
        body=json.dumps(message).encode(),
        limit=1000,
        into=taken.append,
    )
    assert (answer.status, answer.is_whole, answer.body, sum(map(len, taken))) == (200, False, b"", 1000)


def test_every_store_that_an_erasing_asks_is_in_the_archive_or_named_in_it(
    account: Account, crm: TestStore, mailing: TestStore, stores: list[RemoteStore]
) -> None:
    """One list: `accounts.elsewhere.store.stores`. One hands out, one says that it can't."""
    mailing.exports = False
    discover(stores, NOW)
    assert dict(StoreGate.objects.values_list("name", "can_export")) == {"analytics": True, "mailing": False}
    export = asked(account)
    collect_due(NOW)
    archive = built(export)
    readme = archive.read("README.txt").decode()
    there = {name.split("/")[1] for name in archive.namelist() if name.startswith("elsewhere/")}
    named_in_it = {name for name in ("analytics", "mailing") if f"  {name}: " in readme}
    assert there | named_in_it == {store.name for store in stores}
    assert there == {"analytics"}
    assert "  mailing: it hands out nothing by itself: ask us for what it holds\n" in readme
    assert mailing.wanted == {}


def test_a_store_that_has_not_said_that_it_hands_out_is_never_asked_to(
    account: Account, analytics: TestStore, stores: list[RemoteStore]
) -> None:
    """One that was written for erasing alone might erase what it is asked to hand out."""
    analytics.put(account.pk)
    export = asked(account)
    assert collect_due(NOW) == 0
    assert "MISSING" in built(export).read("README.txt").decode()
    assert (analytics.posts(), analytics.left_of(account.pk)) == ([], 1)


def test_a_store_that_is_taken_out_of_the_settings_meanwhile_is_missing(
    account: Account, crm: TestStore, one_store: RemoteStore
) -> None:
    asked(account)
    with override_settings(REMOTE_STORES=[]):
        assert named("analytics") is None
        assert stores() == []
        assert collect_due(NOW) == 1
    assert RemoteExport.objects.get().absence == Absence.GONE


def test_without_stores_elsewhere_an_archive_waits_for_nobody(account: Account) -> None:
    export = asked(account)
    assert "elsewhere" not in built(export).read("README.txt").decode()
