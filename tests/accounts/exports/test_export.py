"""The data export: asked for, built in turns, fetched by the owner alone, deleted."""

import io
import json
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount
from django.conf import settings as django_settings
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.blueprints.models import Blueprint
from accounts.core.write_guard import BeingErased
from accounts.customers.history import Actor
from accounts.erasure import inventory
from accounts.erasure.inventory import Erased
from accounts.exports import builder, parts
from accounts.exports.archive import Archive, Interrupted, Position
from accounts.exports.export import KEPT_FOR, LINK, Export, ask, link_token
from accounts.jobs.due_work import MORE, Turn
from accounts.mail.sending import send_due, write
from accounts.models import Account, Event, Notice, User
from accounts.support.requests import RequestKind
from accounts.support.requests import ask as ask_support
from marketplace.models import RepositoryHook
from subscriptions.ending.cancellation import cancel
from tests.accounts.erasure.purging import erase_all, erased_events, files, oblige, start_due
from tests.factories import NOW, AccountFactory, BlueprintFactory, ConnectionFactory, owner_of, subscribe
from tests.pages import form_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
_microseconds = count(1)


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BATCH", 2)


def asked(account: Account, at: datetime = NOW) -> Export:
    owner = account.owner()
    assert owner is not None
    return ask(account, by=Actor.owner(owner), at=at)[0]


def built(account: Account, at: datetime = NOW) -> Export:
    """A finished export."""
    export = asked(account, at)
    assert builder.export_due(at) == 1, Export.objects.get(pk=export.pk).last_error
    export.refresh_from_db()
    return export


def turn(at: datetime = NOW) -> bool | Turn | None:
    return builder.take_turn(at, at + timedelta(microseconds=next(_microseconds)))


def opened(export: Export) -> zipfile.ZipFile:
    with export.file.open() as file:
        return zipfile.ZipFile(io.BytesIO(file.read()))


def documents(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Every file of the archive that `schema.json` describes, read as it says."""
    found: dict[str, Any] = {}
    for name in archive.namelist():
        text = archive.read(name).decode()
        if name.endswith(".jsonl"):
            found[name] = [json.loads(line) for line in text.splitlines()]
        elif name.endswith(".json") and name != "schema.json":
            found[name] = json.loads(text)
    return found


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process can grow beyond `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_everything_is_in_it_and_fits_its_schema(account: Account, owner: User, member: User, stranger: User) -> None:
    blueprint = BlueprintFactory(account=account, name="Entrepôt “nord” ⚓\n2")
    blueprint.redraw_thumbnail()
    BlueprintFactory(name="somebody else's")
    resources = [{"id": "i-1", "type": "ec2", "name": "web", "region": "eu-west-1"}]
    ConnectionFactory(account=account, name="production", resources=resources, resources_at=NOW)
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW, reason="unused", comment="Adieu")
    ask_support(account, kind=RequestKind.OTHER, message="Où ?", by=Actor.owner(owner), at=NOW)

    export = built(account)

    archive = opened(export)
    assert archive.testzip() is None
    assert archive.namelist() == [
        "README.txt",
        "schema.json",
        "account.json",
        "blueprints.jsonl",
        blueprint.thumbnail.name,
        "connections.jsonl",
        "usage.json",
        "invitations.json",
        "ownership_offers.json",
        "requests.json",
        "request_messages.json",
        "mails.jsonl",
        "owner_addresses.json",
        "owner_sign_in_accounts.json",
        "owner_sign_ins.json",
        "history.jsonl",
        "payouts.json",
        "subscriptions.json",
        "held_subscriptions.json",
        "asked_of_the_provider.json",
        "invoices.json",
        "payments.json",
        "purchases.json",
        "price_changes.json",
        "cancellations.json",
        "refunds.json",
        "github_hooks.json",
        "owner_github_authorisations.json",
        "aws_registrations.json",
        "github_customers.json",
        "aws_agreements.json",
    ]
    found = documents(archive)
    schema = json.loads(archive.read("schema.json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    (drawn,) = found["blueprints.jsonl"]
    assert drawn == {
        "id": str(blueprint.pk),
        "name": "Entrepôt “nord” ⚓\n2",
        "grid": "standard",
        "components": blueprint.components,
        "thumbnail": f"thumbnails/{account.pk}/{blueprint.pk}.svg",
        "created_at": parts.plain(blueprint.created_at),
        "changed_at": parts.plain(blueprint.changed_at),
    }
    assert archive.read(drawn["thumbnail"]).startswith(b"<svg")
    assert found["account.json"]["name"] == "Harbour"
    assert [(m["name"], m["email"], m["role"]) for m in found["account.json"]["members"]] == [
        (person.name, person.email, role) for person, role in ((owner, "owner"), (member, "user"))
    ]
    assert found["connections.jsonl"][0]["resources"] == resources
    assert found["subscriptions.json"][0]["started_at"] == "2026-03-17T09:30:00Z"
    assert found["cancellations.json"][0]["comment"] == "Adieu"
    assert found["requests.json"][0]["message"] == "Où ?"
    assert {line["kind"] for line in found["history.jsonl"]} == {
        "subscription.started",
        "cancellation.requested",
        "request.made",
        "export.asked",
    }
    assert "Harbour" in archive.read("README.txt").decode()


def test_what_an_erasing_takes_an_export_holds_or_says_why_not() -> None:
    """One list: whoever adds a table to the inventory adds it to the export, or gives a reason."""
    exported = parts.exported_models()
    for store in inventory.stores():
        if isinstance(store, Erased):
            assert (store.model in exported) is not bool(store.not_exported), store.model


def test_what_the_owner_left_elsewhere_than_in_blueprints_is_exported_too(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    sign_in(owner).get("/")
    sign_in(member).get("/")
    User.objects.filter(pk=owner.pk).update(language="fr", time_zone="Europe/Paris")
    for person in (owner, member):
        SocialAccount.objects.create(user=person, provider="github", uid=str(person.pk), extra_data={"login": "x"})
    ask_support(account, kind=RequestKind.OTHER, message="Où ?", by=Actor.owner(owner), at=NOW)
    send_due(NOW)
    RepositoryHook.objects.create(account=account, repository="harbour/web", hook_id=7, registered_at=NOW)

    archive = opened(built(account))

    found = documents(archive)
    jsonschema.validate(found, json.loads(archive.read("schema.json")))
    first = found["account.json"]["members"][0]
    assert (first["language"], first["time_zone"]) == ("fr", "Europe/Paris")
    assert [row["kind"] for row in found["mails.jsonl"]] == ["accounts/request_received"]
    # Of the owner, who asks; what is another member's own is theirs.
    assert [row["email"] for row in found["owner_addresses.json"]] == [owner.email]
    assert [row["uid"] for row in found["owner_sign_in_accounts.json"]] == [str(owner.pk)]
    assert len(found["owner_sign_ins.json"]) == 1
    assert [row["repository"] for row in found["github_hooks.json"]] == ["harbour/web"]
    assert "mfa.Authenticator: secrets, which open doors and tell nothing" in archive.read("README.txt").decode()


def test_every_field_of_a_blueprint_is_exported() -> None:
    part = next(part for part in parts.parts() if part.name == "blueprints.jsonl")
    assert isinstance(part, parts.Rows)
    assert set(part.fields) == {field.name for field in Blueprint._meta.concrete_fields} - {"account"}


def test_an_empty_account_makes_a_whole_archive(account: Account) -> None:
    archive = opened(built(account))
    assert archive.testzip() is None
    found = documents(archive)
    assert found["subscriptions.json"] == found["blueprints.jsonl"] == []
    jsonschema.validate(found, json.loads(archive.read("schema.json")))


def test_batches_make_one_archive(account: Account, small_batches: None) -> None:
    blueprints = BlueprintFactory.create_batch(5, account=account)
    for blueprint in blueprints:
        blueprint.redraw_thumbnail()
    subscribe(account, ends_at=NOW - DAY, at=NOW - 3 * DAY)
    subscribe(account, ends_at=NOW - HOUR, at=NOW - DAY)
    subscribe(account, ends_at=NOW + HOUR)
    export = built(account)
    archive = opened(export)
    found = documents(archive)
    assert archive.testzip() is None
    assert [row["id"] for row in found["blueprints.jsonl"]] == sorted(str(blueprint.pk) for blueprint in blueprints)
    assert sum(name.endswith(".svg") for name in archive.namelist()) == 5
    assert len(found["subscriptions.json"]) == 3
    assert [row["id"] for row in found["history.jsonl"]] == list(
        Event.objects.exclude(kind="export.ready").order_by("at", "id").values_list("pk", flat=True)
    )
    assert export.done == export.total == 5 + 5 + 3 + 1 + len(found["history.jsonl"])
    assert (export.size, len(export.sha256)) == (default_storage.size(export.file.name or ""), 64)


def test_every_batch_takes_the_same_few_statements(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BATCH", 10)
    BlueprintFactory.create_batch(40, account=account)
    asked(account)
    turn()
    taken = []
    for _batch in range(3):
        with CaptureQueriesContext(
            connection,
        ) as statements:
            assert turn() is MORE
        taken.append(len([query for query in statements if "SAVEPOINT" not in query["sql"]]))
    # The row is locked, noted, and given another turn; the batch is read. PostgreSQL's cursor is not counted.
    assert taken == [taken[0]] * 3
    assert taken[0] <= 4


def test_an_interrupted_batch_is_cut_off_and_written_again(
    account: Account, storage: Path, small_batches: None
) -> None:
    BlueprintFactory.create_batch(5, account=account)
    export = asked(account)
    assert turn() is MORE
    # As if a worker had been killed before it could commit: more in the files than the row says.
    for unfinished in (storage / "exports" / str(account.pk)).iterdir():
        with unfinished.open("ab") as file:
            file.write(b"half of something" * 1000)
    while not turn():
        pass
    export.refresh_from_db()
    archive = opened(export)
    assert archive.testzip() is None
    assert len(documents(archive)["blueprints.jsonl"]) == 5
    assert files() == [f"exports/{account.pk}/{export.pk}.zip"]


@pytest.mark.parametrize("suffix", [".part", ".index"])
def test_what_is_lost_is_built_anew(account: Account, small_batches: None, suffix: str) -> None:
    BlueprintFactory.create_batch(5, account=account)
    export = asked(account)
    assert turn() is MORE
    export.unfinished_path.with_suffix(suffix).unlink()
    while not turn():
        pass
    export.refresh_from_db()
    assert len(documents(opened(export))["blueprints.jsonl"]) == 5


def test_an_archive_shorter_than_its_row_says_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "short.part"
    with Archive.begin(path, dated=NOW) as archive:
        archive.add("a", b"a")
        position = archive.save()
    path.write_bytes(b"")
    with pytest.raises(Interrupted):
        Archive(path, Position(**position), dated=NOW)


def test_more_members_than_the_old_format_counts(tmp_path: Path) -> None:
    path = tmp_path / "many.part"
    with Archive.begin(path, dated=NOW) as archive:
        for number in range(66_000):
            archive.add(str(number), b"")
        archive.finish()
    with zipfile.ZipFile(path) as found:
        assert len(found.namelist()) == 66_000
        assert found.read("65999") == b""


def test_a_full_disk_is_noted_leaves_nothing_and_is_tried_again(account: Account, owner: User, sign_in: SignIn) -> None:
    BlueprintFactory(account=account, name="".join(map(chr, range(33, 220))))
    export = asked(account)
    with full_disk(room=1500):
        assert builder.export_due(NOW) == 0
    export.refresh_from_db()
    assert "OSError" in export.last_error
    assert (export.attempts, export.next_attempt_at, export.progress) == (1, NOW + Export.FIRST_WAIT, {})
    assert files() == []
    with time_machine.travel(NOW + SECOND, tick=False):
        assert "We try again by ourselves" in sign_in(owner).get("/user/export/").content.decode()
    assert builder.export_due(NOW + SECOND) == 0
    with full_disk(room=1500):
        builder.export_due(NOW + Export.FIRST_WAIT)
    export.refresh_from_db()
    assert export.next_attempt_at == NOW + 3 * Export.FIRST_WAIT
    assert builder.export_due(NOW + HOUR) == 1
    export.refresh_from_db()
    assert (export.last_error, export.attempts) == ("", 0)
    assert opened(export).testzip() is None


def test_one_that_fails_does_not_hold_up_the_others(account: Account, stranger: User) -> None:
    broken = asked(account)
    Export.objects.filter(pk=broken.pk).update(position={"unknown": 1}, progress=["?"])
    other = asked(stranger.accounts.get(), NOW + SECOND)
    assert builder.export_due(NOW + SECOND) == 1
    other.refresh_from_db()
    broken.refresh_from_db()
    assert other.finished_at
    assert broken.last_error


def test_asking_twice_is_one_export(account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    sent = form_on(client, "/user/export/").sent()
    assert client.post("/user/export/", sent)["Location"] == f"/user/export/?account={account.pk}"
    page = client.post("/user/export/", sent, follow=True).content.decode()
    assert "Your export is already being prepared." in page
    export = Export.objects.get()
    assert (export.account, export.asked_for_by) == (account, owner)
    assert Event.objects.filter(kind="export.asked").count() == 1
    with pytest.raises(IntegrityError, match="export_one_unfinished_an_account"):
        Export.objects.create(account=account, asked_at=NOW, next_attempt_at=NOW)


def test_nothing_is_exported_while_it_is_erased(account: Account, small_batches: None) -> None:
    BlueprintFactory.create_batch(5, account=account)
    asked(account)
    turn()
    Account.objects.filter(pk=account.pk).update(purging_at=NOW)
    assert turn() is None
    with pytest.raises(BeingErased):
        asked(account)


def test_the_page_shows_how_far_it_is(account: Account, owner: User, sign_in: SignIn, small_batches: None) -> None:
    BlueprintFactory.create_batch(3, account=account)
    client = sign_in(owner)
    assert "Prepare the export" in client.get("/user/export/").content.decode()
    asked(account)
    assert "It begins within a minute." in client.get("/user/export/").content.decode()
    turn()
    page = client.get("/user/export/").content.decode()
    assert "2 of 6 entries are in the archive." in page
    assert 'value="2" max="6"' in page
    assert "Prepare" not in page


def test_the_owner_is_told_by_mail_where_to_sign_in(account: Account, owner: User, admin: User) -> None:
    export = built(account)
    notice = Notice.objects.get(kind="accounts/export_ready")
    assert notice.recipient == owner
    text = str(write(notice).body)
    assert f"{django_settings.SITE_URL}/user/export/" in text
    assert str(export.pk) not in text


def link(client: Client) -> str:
    """The link on the page."""
    page = client.get("/user/export/").content.decode()
    return "/user/export/" + page.partition('href="/user/export/')[2].partition('"')[0]


def test_the_owner_fetches_it_through_a_fresh_link(account: Account, owner: User, sign_in: SignIn) -> None:
    at = datetime.now(UTC)
    export, client = built(account, at), sign_in(owner)
    response = client.get(link(client))
    assert response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    assert response["Content-Disposition"] == f'attachment; filename="blueprints-export-{at:%Y-%m-%d}.zip"'
    content = response.getvalue()
    assert len(content) == export.size == int(response["Content-Length"])
    event = Event.objects.get(kind="export.fetched")
    assert (event.actor_id, event.facts) == (owner.pk, {"export": str(export.pk)})


def test_a_link_expires_and_says_so(account: Account, owner: User, stranger: User, sign_in: SignIn) -> None:
    with time_machine.travel(NOW, tick=False) as traveller:
        export = built(account)
        path = f"/user/export/{link_token(export, owner)}/"
        client, other = sign_in(owner), sign_in(stranger)
        traveller.move_to(NOW + LINK - SECOND)
        assert client.get(path).status_code == 200
        traveller.move_to(NOW + LINK + SECOND)
        response = client.get(path)
        assert response.status_code == 410
        assert "Go back to the page of the export for a new one." in response.content.decode()
        assert other.get(path).status_code == 404
        assert client.get(link(client)).status_code == 200


def test_a_link_works_for_the_owner_that_it_was_made_for_only(
    account: Account, owner: User, admin: User, stranger: User, staff: User, sign_in: SignIn
) -> None:
    at = datetime.now(UTC)
    export = built(account, at)
    token = link_token(export, owner)
    for person in (admin, stranger, staff):
        assert sign_in(person).get(f"/user/export/{token}/").status_code == 404
        assert sign_in(person).get(f"/user/export/{link_token(export, person)}/").status_code == 404
    theirs = built(stranger.accounts.get(), at)
    assert sign_in(owner).get(f"/user/export/{link_token(theirs, owner)}/").status_code == 404
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[1:], "x", "download"):
        assert sign_in(owner).get(f"/user/export/{wrong}/").status_code == 404
    assert not Event.objects.filter(kind="export.fetched").exists()


def test_who_is_not_the_owner_any_more_fetches_nothing(
    account: Account, owner: User, admin: User, sign_in: SignIn
) -> None:
    token = link_token(built(account, datetime.now(UTC)), owner)
    account.memberships.filter(user=owner).update(role="admin")
    account.memberships.filter(user=admin).update(role="owner")
    assert sign_in(owner).get(f"/user/export/{token}/").status_code == 404


def test_an_archive_is_deleted_when_it_expires(account: Account, owner: User, sign_in: SignIn) -> None:
    export = built(account)
    assert export.expires_at == NOW + KEPT_FOR
    assert builder.export_due(NOW + KEPT_FOR - SECOND) == 0
    with time_machine.travel(NOW + KEPT_FOR, tick=False):
        # Dates decide, not the sweep.
        client = sign_in(owner)
        assert client.get(f"/user/export/{link_token(export, owner)}/").status_code == 410
        assert "Download" not in client.get("/user/export/").content.decode()
    assert list(builder.preview(NOW + KEPT_FOR)) == [
        f"{account.pk} Harbour: data export expired at 2026-03-24T09:30:00Z"
    ]
    assert builder.export_due(NOW + KEPT_FOR) == 1
    assert files() == []
    assert builder.export_due(NOW + KEPT_FOR) == 0
    assert Event.objects.filter(kind="export.removed").count() == 1


def test_a_file_that_is_missing_is_no_trouble(account: Account, owner: User, sign_in: SignIn) -> None:
    at = datetime.now(UTC)
    export = built(account, at)
    default_storage.delete(export.name)
    assert sign_in(owner).get(f"/user/export/{link_token(export, owner)}/").status_code == 410
    assert builder.export_due(at + KEPT_FOR) == 1


def test_a_new_export_takes_the_place_of_the_old_one(account: Account) -> None:
    built(account)
    newer = built(account, NOW + DAY)
    builder.export_due(NOW + DAY)
    assert files() == [newer.file.name]


def test_a_purge_deletes_exports_finished_and_not(account: Account, small_batches: None) -> None:
    built(account)
    BlueprintFactory.create_batch(3, account=account)
    asked(account, NOW + SECOND)
    turn(NOW + SECOND)
    assert len(files()) == 3
    erase_all(account, NOW + SECOND)
    assert files() == []
    assert not Export.objects.exists()
    assert turn(NOW + DAY) is None


def test_the_export_is_offered_before_the_buttons_that_end_things(
    account: Account, owner: User, admin: User, sign_in: SignIn
) -> None:
    subscribe(account, at=datetime.now(UTC))
    cancellation = sign_in(owner).get("/user/subscription/cancellation/").content.decode()
    assert 0 < cancellation.index('href="/user/export/"') < cancellation.index("Cancel my account")
    assert 'href="/user/export/"' in sign_in(owner).get("/user/support/").content.decode()
    assert 'href="/user/export/"' not in sign_in(admin).get("/user/support/").content.decode()


def deactivate(account: Account, at: datetime) -> datetime:
    """As after a cancellation in the marketplace. Returns until when it can come back."""
    until = at + 29 * DAY
    Account.objects.filter(pk=account.pk).update(deactivated_at=at, returnable_until=until)
    oblige(account, received_at=at, due_at=until, deadline_at=at + 30 * DAY, at=at)
    return until


def test_the_owner_of_a_deactivated_account_asks_for_and_fetches_it(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    BlueprintFactory(account=account, name="Entrepôt")
    at = datetime.now(UTC)
    until = deactivate(account, at)
    client = sign_in(owner)
    refused = client.get("/")
    assert refused.status_code == 403
    assert f'href="/user/export/?account={account.pk}"' in refused.content.decode()

    assert client.get("/user/export/").status_code == 200
    assert press(client, "/user/export/").status_code == 302
    assert builder.export_due(datetime.now(UTC)) == 1
    page = client.get("/user/export/").content.decode()
    assert f'datetime="{until:%Y-%m-%dT%H:%M:%SZ}"' in page
    assert 'href="/user/subscription/"' not in page.partition("<main")[2]
    fetched = client.get(link(client))

    assert fetched.status_code == 200
    (drawn,) = documents(zipfile.ZipFile(io.BytesIO(fetched.getvalue())))["blueprints.jsonl"]
    assert drawn["name"] == "Entrepôt"
    assert Event.objects.filter(account=account, kind="export.fetched").count() == 1
    # That door only, and support's.
    for path in ("/", "/user/subscription/", "/connections/"):
        assert client.get(path).status_code == 403


def test_of_a_deactivated_account_nobody_but_the_owner_exports_anything(
    account: Account, owner: User, admin: User, member: User, stranger: User, staff: User, sign_in: SignIn
) -> None:
    at = datetime.now(UTC)
    export = built(account, at)
    deactivate(account, at)
    for person in (admin, member):
        client = sign_in(person)
        page = client.get("/user/export/")
        assert page.status_code == client.post("/user/export/", {"account": account.pk}).status_code == 403
        assert "Harbour is deactivated" in page.content.decode()
        assert 'href="/user/export/' not in page.content.decode()
    for person in (admin, member, stranger, staff):
        assert sign_in(person).get(f"/user/export/{link_token(export, owner)}/").status_code == 404
    assert sign_in(None).get("/user/export/")["Location"].startswith("/auth/login/")
    assert Export.objects.count() == 1
    assert not Event.objects.filter(kind="export.fetched").exists()


def test_the_door_closes_when_the_erasing_begins(account: Account, owner: User, sign_in: SignIn) -> None:
    elsewhere = AccountFactory(name="Pier", owner=owner)
    at = datetime.now(UTC)
    token = link_token(built(account, at), owner)
    until = deactivate(account, at)
    client = sign_in(owner)
    assert client.get(f"/user/export/{token}/").status_code == 200
    assert start_due(until) == 1
    assert client.get(f"/user/export/{token}/").status_code == 403
    answer = client.post("/user/export/", {"account": account.pk})
    assert answer.status_code == 403
    assert 'href="/user/export/' not in answer.content.decode()
    assert Export.objects.count() == 1
    assert erased_events(account.pk) == 0
    # The other account's page is open as ever.
    client.post("/user/account/", {"account": elsewhere.pk})
    assert client.get("/user/export/").status_code == 200


@pytest.mark.parametrize(
    ("before", "kept_for"),
    # The last one is held up: erasing should have begun, and has not.
    [(DAY, DAY), (10 * DAY, KEPT_FOR), (0 * DAY, KEPT_FOR)],
)
def test_an_archive_is_not_promised_for_longer_than_the_account_has(
    account: Account, before: timedelta, kept_for: timedelta
) -> None:
    at = deactivate(account, NOW) - before
    assert built(account, at).expires_at == at + kept_for
