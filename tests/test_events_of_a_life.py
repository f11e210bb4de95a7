"""What other systems are told of whole lives: everything, in order, and nothing that names a person."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.customers.opening import open_account
from accounts.erasure import scheduling
from accounts.erasure.holds import set_hold
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.runner import purge_due
from accounts.events.message import EventMessage, EventStream
from accounts.events.message_type import TYPES
from accounts.events.publishing import publish_due
from accounts.exports import export
from accounts.exports.builder import export_due
from accounts.models import Account, Certificate, Membership, Notice, Role, SupportRequest, User
from accounts.people import inviting, joining, members
from accounts.signing_in.addresses import note_proven
from accounts.support import deletion, ownership, requests
from accounts.support.requests import RequestKind
from subscriptions.billing.wish import Outcome, Wish
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.ending.settling import settle_due
from subscriptions.models import Subscription
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, PASSWORD, UserFactory, subscribe
from tests.subscriptions.imports.importing import json_lines, row, run

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
COMMON = {"event", "account", "sequence", "recorded_at", "external_id", "version", "cause"}


@pytest.fixture(autouse=True)
def folders(settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "config.mail.FolderBackend", str(tmp_path / "mail")
    settings.MEDIA_ROOT = str(tmp_path / "media")


def told(account: Account, at: Any = NOW) -> list[tuple[str, dict[str, Any]]]:
    """What is told of the account, in its order; each message says just what its type declares."""
    publish_due(at)
    found = []
    for message in EventMessage.objects.of(account.pk).published():
        body = json.loads(message.body)
        assert (body["type"], body["data"]["sequence"]) == (message.type, message.sequence)
        assert set(body["data"]) == COMMON | set(TYPES.named(message.type).fields)
        found.append((message.type, body["data"]))
    return found


def types(account: Account, at: Any = NOW) -> list[str]:
    return [name for name, _data in told(account, at)]


def personal() -> set[str]:
    """Every name, address and text of a customer that is in the database now."""
    people = User.objects.values_list("email", "name")
    accounts = Account.objects.values_list("name", flat=True)
    texts = [
        *(text for pair in people for text in pair),
        *accounts,
        *SupportRequest.objects.values_list("messages__text", flat=True),
    ]
    return {text.lower() for text in texts if text}


def named(secrets: set[str]) -> dict[str, list[str]]:
    """Which of these stand in which messages, in whatever field."""
    bodies = EventMessage.objects.values_list("type", "body")
    return {secret: found for secret in secrets if (found := [kind for kind, body in bodies if secret in body.lower()])}


def test_a_life_is_told_from_its_first_day_to_its_certificate(agent: User, lead: User) -> None:
    owner: User = UserFactory(email="olga@harbour.example", name="Olga Hafenmeister", external_id="u-7")
    account = open_account("Harbour Diagrams", owner=owner, by=Actor.api(3), at=NOW, external_id="cust-1042")
    mia: User = UserFactory(email="mia@harbour.example", name="Mia Matrosin", external_id="u-8")
    members.put_in(account, user=mia, role=Role.USER, by=Actor.api(3), at=NOW)
    members.change_role(account, of=mia, to=Role.ADMIN, by=owner, at=NOW)
    invitation, _new = inviting.invite(account, email="nora@new.example", role=Role.USER, by=Actor.owner(owner), at=NOW)
    nora = joining.join_as_newcomer(invitation, name="Nora Neuling", password=PASSWORD, at=NOW).user
    members.leave(account, user=nora, at=NOW)
    note_proven(mia)
    ownership.hand_over(account, to=mia, stays=True, by=Actor.staff(agent), at=NOW)
    members.remove(account, user=owner, by=mia, at=NOW)
    people = told(account)
    assert [name for name, _data in people] == [
        "account.created",
        "member.added",
        "member.changed",
        "member.added",
        "member.removed",
        "ownership.changed",
        "member.removed",
        "entitlements.changed",
    ]
    assert [data["cause"] for _name, data in people] == [
        *("api", "api", "owner", "member", "member", "staff", "owner", "api")
    ]
    assert {data["external_id"] for _name, data in people} == {"cust-1042"}
    first, changed = people[0][1], people[5][1]
    assert (first["owner"], first["owner_external_id"]) == (owner.pk, "u-7")
    assert (changed["member"], changed["member_external_id"], changed["member_before_external_id"]) == (
        *(mia.pk, "u-8", "u-7"),
    )

    subscription = subscribe(account)
    cancellation, _new = cancel(
        subscription, by=Actor.owner(mia), at=NOW + DAY, reason="other", comment="Because Kapitän Ahab said so"
    )
    withdraw(cancellation, by=Actor.owner(mia), at=NOW + DAY)
    export.ask(account, by=Actor.owner(mia), at=NOW + DAY)
    assert export_due(NOW + DAY) == 1
    asked, _new = requests.ask(
        account, kind=RequestKind.DELETION, message="Please, in Ahab's name", by=Actor.owner(mia), at=NOW + DAY
    )
    deletion.propose(asked, by=Actor.staff(agent), at=NOW + DAY)
    purge = deletion.approve(asked, by=Actor.staff(lead), at=NOW + DAY)
    late = types(account, NOW + DAY)[len(people) :]
    assert late == [
        "subscription.started",
        "cancellation.requested",
        "subscription.ending",
        "cancellation.withdrawn",
        "subscription.changed",
        "export.ready",
        "cancellation.requested",
        "subscription.ending",
        "deletion.scheduled",
        "entitlements.changed",
    ]
    assert named(personal() | {"ahab", "hafenmeister", "nora", "neuling", "olga@harbour.example"}) == {}

    at = max(purge.due_at, subscription.paid_through(NOW)) + DAY
    before = EventMessage.objects.count()
    # Staff have stopped the charge: until they say so nothing is erased.
    Wish.objects.update(agreed_at=NOW + DAY, outcome=Outcome.AGREED)
    assert purge_due(at) == 1
    publish_due(at)
    assert types(account, at) == ["account.erasing", "account.erased"]
    erasing, erased = (data for _name, data in told(account, at))
    assert erased["certificate"] == Certificate.objects.get().number
    assert erasing["purge"] == erased["purge"] == purge.pk
    # What the vendor calls the customer may name somebody.
    assert (erasing["external_id"], erased["external_id"]) == (None, None)
    # Nothing of its sequence is given again.
    assert erasing["sequence"] > before
    assert erased["sequence"] == erasing["sequence"] + 1
    assert EventStream.objects.get(pk=account.pk).last == erased["sequence"]


def test_no_message_of_the_demo_names_anybody() -> None:
    call_command("demo", verbosity=0)
    secrets = personal() | {".example", "@"}
    assert {"owner@direct.example", "harbour diagrams"} <= secrets
    for subscription in Subscription.objects.filter(channel="direct", ends_at=None, settled_at=None):
        owner = subscription.account.owner()
        if owner and subscription.is_live(NOW + 500 * DAY):
            cancel(subscription, by=Actor.owner(owner), at=NOW + 500 * DAY, reason="unused", comment=owner.name)
    settle_due(NOW + 900 * DAY)
    publish_due(NOW + 900 * DAY)
    assert EventMessage.objects.count() > 10
    assert named(secrets) == {}


def test_a_deletion_that_is_called_off_leaves_everything_as_it_was(agent: User, lead: User, account: Account) -> None:
    subscribe(account)
    owner = account.owner()
    assert owner is not None
    asked, _new = requests.ask(account, kind=RequestKind.DELETION, message="x", by=Actor.owner(owner), at=NOW)
    deletion.propose(asked, by=Actor.staff(agent), at=NOW)
    deletion.approve(asked, by=Actor.staff(lead), at=NOW)
    deletion.call_off(account, by=Actor.owner(owner), at=NOW + DAY)
    found = told(account, NOW + DAY)
    assert [name for name, _data in found] == [
        "subscription.started",
        "cancellation.requested",
        "subscription.ending",
        "deletion.scheduled",
        "deletion.called_off",
        "cancellation.withdrawn",
        "subscription.changed",
        "entitlements.changed",
    ]
    scheduled = dict(found)["deletion.scheduled"]
    assert scheduled["deletion_cause"] == dict(found)["deletion.called_off"]["deletion_cause"] == "customer_request"
    assert found[-1][1]["until"] is None


def test_one_of_two_reasons_to_erase_that_is_off_is_told_with_the_dates_of_the_other(account: Account) -> None:
    oblige(account, due_at=NOW + 5 * DAY)
    oblige(account, cause=PurgeCause.CUSTOMER_REQUEST, due_at=NOW + 3 * DAY)
    scheduling.call_off(account, at=NOW, by=Actor.system(), cause=PurgeCause.CUSTOMER_REQUEST)
    scheduling.call_off(account, at=NOW, by=Actor.system())
    found = told(account)
    assert [(name, data["deletion_cause"], data.get("due_at")) for name, data in found] == [
        ("deletion.scheduled", "marketplace_cancellation", "2026-03-22T09:30:00Z"),
        ("deletion.scheduled", "customer_request", "2026-03-20T09:30:00Z"),
        ("deletion.scheduled", "marketplace_cancellation", "2026-03-22T09:30:00Z"),
        ("deletion.called_off", "marketplace_cancellation", None),
    ]


def test_a_hold_says_nothing_and_what_is_held_goes_on_being_told(account: Account, lead: User) -> None:
    oblige(account)
    set_hold(account, reason="Case 12", until=NOW + 10 * DAY, at=NOW, by=Actor.staff(lead))
    assert purge_due(NOW) == 0
    subscribe(account)
    assert types(account) == ["deletion.scheduled", "subscription.started", "entitlements.changed"]
    Subscription.objects.update(ends_at=NOW + DAY, settled_at=NOW + DAY)
    assert purge_due(NOW + 11 * DAY) == 1
    assert types(account, NOW + 11 * DAY) == ["account.erasing", "account.erased"]


def test_of_two_accounts_of_one_person_each_tells_its_own(account: Account, owner: User) -> None:
    second = open_account("Second", owner=owner, by=Actor.owner(owner), at=NOW)
    subscribe(account)
    subscribe(second)
    oblige(account)
    Subscription.objects.filter(account=account).update(ends_at=NOW, settled_at=NOW)
    assert purge_due(NOW) == 1
    assert types(account) == ["account.erasing", "account.erased"]
    assert types(second) == ["account.created", "subscription.started", "entitlements.changed"]
    assert {data["owner"] for _name, data in told(second)[:1]} == {owner.pk}


def test_what_is_imported_is_told_with_its_cause_and_at_its_own_dates(tmp_path: Path) -> None:
    run(json_lines(tmp_path / "file.jsonl", [row()]))
    account = Account.objects.get()
    found = told(account)
    names = [name for name, _data in found]
    assert names[0] == "account.created"
    assert {"subscription.started", "entitlements.changed"} <= set(names)
    assert {data["cause"] for _name, data in found} == {"import"}
    assert {data["external_id"] for _name, data in found} == {account.external_id}
    assert names.count("member.added") == Membership.objects.exclude(role=Role.OWNER).count()
    # Again: nothing is new, and nothing is told.
    run(json_lines(tmp_path / "file.jsonl", [row()]))
    assert [name for name, _data in told(account)] == names
    assert Notice.objects.count() == 0
