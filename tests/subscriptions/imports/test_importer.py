"""Existing customers are brought in as they are: with their real dates, once, and without a mail, now and later."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts.customers.history import Actor
from accounts.jobs import sweeps
from accounts.models import Account, Event, Membership, Notice, Role, User
from accounts.signing_in.addresses import note_proven
from accounts.support import ownership
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Cancellation, ImportedRow, Subscription
from tests.accounts.erasure.purging import erase_all, oblige
from tests.factories import NOW, PASSWORD, UserFactory, subscribe
from tests.subscriptions.imports.importing import csv_file, json_lines, row, run

pytestmark = pytest.mark.django_db
TABLES = (Account, User, Membership, Subscription, Cancellation, Event, Notice, ImportedRow)
SignIn = Callable[[User | None], Client]


@pytest.fixture(autouse=True)
def at_now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def counts() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in TABLES}


def rich() -> dict[str, Any]:
    return row(
        1,
        created_at="2024-12-01T10:00:00+01:00",
        owner={"name": "Olga", "external_id": "per_1", "language": "fr", "time_zone": "Europe/Paris"},
        members=[{"email": "Ada@Harbour.example", "role": "admin"}, {"email": "bob@harbour.example"}],
        subscription={"seats": 3, "currency": "eur", "order_reference": "ORD-7", "interval": "annual"},
    )


def test_a_row_becomes_an_account_with_its_people_and_the_subscription_as_it_was(tmp_path: Path) -> None:
    imported = run(json_lines(tmp_path / "a.jsonl", [rich()]))
    assert (imported.code, imported.outcomes) == (0, ["created"])
    account = Account.objects.get()
    assert (account.external_id, account.name) == ("cus_1", "Harbour 1")
    assert account.created_at == datetime(2024, 12, 1, 9, tzinfo=UTC)
    owner = account.owner()
    assert owner is not None
    assert (owner.email, owner.name, owner.external_id) == ("owner1@harbour.example", "Olga", "per_1")
    assert (owner.language, owner.time_zone, owner.has_usable_password()) == ("fr", "Europe/Paris", False)
    roles = {place.user.email: place.role for place in account.memberships.all()}
    assert roles == {
        "owner1@harbour.example": "owner",
        "ada@harbour.example": "admin",
        "bob@harbour.example": "user",
    }
    held = Subscription.objects.get()
    assert (held.account, held.plan_id, held.channel, held.interval, held.external_id) == (
        account,
        "pro",
        "direct",
        12,
        "sub_1",
    )
    assert (held.seats, held.cents, held.currency, held.order_reference) == (3, 4900, "EUR", "ORD-7")
    assert held.started_at == held.anchor_at == datetime(2025, 1, 31, 8, tzinfo=UTC)
    assert (held.ends_at, held.settled_at, held.next_reminder_at) == (None, None, None)


def test_the_history_tells_of_the_import_and_of_the_real_dates(tmp_path: Path) -> None:
    run(json_lines(tmp_path / "a.jsonl", [rich()]))
    told = list(Event.objects.order_by("at").values_list("kind", "at", "actor_kind", "facts"))
    held = Subscription.objects.get()
    assert told == [
        (
            "subscription.started",
            datetime(2025, 1, 31, 8, tzinfo=UTC),
            "system",
            {"cause": "import", "subscription": held.pk, "plan": "pro", "channel": "direct", "seats": 3},
        ),
        ("account.imported", NOW, "system", {"cause": "import", "members": 3}),
    ]


def test_the_31st_stays_the_31st(tmp_path: Path) -> None:
    run(json_lines(tmp_path / "a.jsonl", [row(1)]))
    held = Subscription.objects.get()
    ends = [held.cycle(datetime(2026, month, 15, tzinfo=UTC)).end.isoformat() for month in (2, 3, 4)]
    assert ends == ["2026-02-28T08:00:00+00:00", "2026-03-31T08:00:00+00:00", "2026-04-30T08:00:00+00:00"]


def test_the_same_file_again_as_json_lines_or_csv_changes_nothing(tmp_path: Path) -> None:
    rows = [rich(), row(2), row(3, subscription=None)]
    assert run(json_lines(tmp_path / "a.jsonl", rows)).outcomes == ["created"] * 3
    before = counts()
    for file in (
        json_lines(tmp_path / "a.jsonl", rows),
        csv_file(tmp_path / "b.csv", rows),
        csv_file(tmp_path / "c.csv", rows, delimiter=";"),
        csv_file(tmp_path / "d.csv", rows, delimiter="\t"),
        json_lines(tmp_path / "e.jsonl", rows + rows),
    ):
        imported = run(file)
        assert (imported.code, set(imported.outcomes)) == (0, {"unchanged"}), file
    assert counts() == before


def test_a_csv_file_brings_in_what_json_lines_do(tmp_path: Path) -> None:
    assert run(csv_file(tmp_path / "a.csv", [rich()])).outcomes == ["created"]
    before = counts()
    assert run(json_lines(tmp_path / "a.jsonl", [rich()])).outcomes == ["unchanged"]
    assert counts() == before == {
        "Account": 1, "User": 3, "Membership": 3, "Subscription": 1, "Cancellation": 0, "Event": 2, "Notice": 0,
        "ImportedRow": 1,
    }  # fmt: skip


def test_one_address_in_two_rows_is_one_person_in_two_accounts(tmp_path: Path) -> None:
    same = {"email": "olga@harbour.example"}
    run(json_lines(tmp_path / "a.jsonl", [row(1, owner=same), row(2, owner={"email": "OLGA@harbour.example"})]))
    olga = User.objects.get()
    assert olga.accounts.count() == Subscription.objects.count() == 2


def test_somebody_who_is_here_already_is_the_same_person_and_gets_the_external_id(tmp_path: Path) -> None:
    olga = UserFactory(email="olga@harbour.example", name="Olga")
    told = {"email": "olga@harbour.example", "name": "O.", "external_id": "per_1"}
    assert run(json_lines(tmp_path / "a.jsonl", [row(1, owner=told)])).outcomes == ["created"]
    olga.refresh_from_db()
    assert (olga.name, olga.external_id, olga.check_password(PASSWORD)) == ("Olga", "per_1", True)


def test_more_rows_of_an_account_add_what_it_lacks(tmp_path: Path) -> None:
    earlier = {"external_id": "sub_0", "ends_at": "2025-01-31T08:00:00Z", "started_at": "2024-01-31T08:00:00Z"}
    rows = [
        row(1, subscription=None),
        row(1),
        row(1, subscription=earlier),
        row(1, subscription=None, members=[{"email": "ada@harbour.example"}]),
        row(1, members=[{"email": "ada@harbour.example"}]),
    ]
    imported = run(json_lines(tmp_path / "a.jsonl", rows))
    assert imported.outcomes == ["created", "changed", "changed", "changed", "unchanged"]
    assert Account.objects.count() == 1
    assert set(Subscription.objects.values_list("external_id", flat=True)) == {"sub_0", "sub_1"}
    assert Membership.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "Lagoon"}, "name_differs"),
        ({"owner": {"email": "other@harbour.example", "external_id": "per_2"}}, "owner_differs"),
        ({"owner": {"email": "ada@harbour.example", "external_id": "per_2"}, "members": None}, "owner_differs"),
        ({"owner": {"email": "other@harbour.example"}}, "person_differs"),
        ({"members": [{"email": "ada@harbour.example", "role": "user"}]}, "role_differs"),
        ({"members": [{"email": "owner1@harbour.example"}]}, "two_places"),
        ({"owner": {"external_id": "per_9"}}, "person_differs"),
        ({"members": [{"email": "new@harbour.example", "external_id": "per_1"}]}, "person_differs"),
        ({"subscription": {"cents": 4800}}, "subscription_differs"),
        ({"subscription": {"plan": "enterprise"}}, "subscription_differs"),
        ({"subscription": {"external_id": "sub_9"}}, "overlaps"),
        ({"external_id": "cus_2", "members": None}, "subscription_taken"),
    ],
)
def test_a_row_that_contradicts_what_is_here_is_refused_and_changes_nothing(
    changes: dict[str, Any], code: str, tmp_path: Path
) -> None:
    run(json_lines(tmp_path / "a.jsonl", [rich()]))
    before = counts()
    told = rich()
    for name, value in changes.items():
        told[name] = {**told[name], **value} if isinstance(value, dict) else value
    imported = run(json_lines(tmp_path / "b.jsonl", [{name: v for name, v in told.items() if v is not None}]))
    assert (imported.code, imported.outcomes, imported.codes) == (1, ["refused"], [code])
    assert counts() == before


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"channel": "github_marketplace"}, "marketplace"),
        ({"channel": "aws_marketplace"}, "marketplace"),
        ({"plan": "free"}, "free"),
        ({"plan": "platinum"}, "unknown_plan"),
        ({"channel": "datadog_sales"}, "no_end"),
        ({"channel": "datadog_sales", "ends_at": "2027-01-01", "cancelled_at": "2026-01-01"}, "not_cancelled"),
        ({"started_at": "2026-03-17T09:30:01Z"}, "starts_ahead"),
        ({"anchor_at": "2026-03-17T09:30:01Z"}, "anchor_ahead"),
        ({"channel": "datadog_sales", "anchor_at": "2026-04-01", "ends_at": "2027-01-01"}, "anchor_ahead"),
        ({"anchor_at": "2025-01-31T07:59:59Z"}, "anchor_before_start"),
        ({"trial_ends_at": "2025-02-14", "anchor_at": "2025-02-15"}, "anchor_not_trial_end"),
        ({"trial_ends_at": "2025-01-31T08:00:00Z"}, "trial_before_start"),
        ({"ends_at": "2025-01-31T08:00:00Z"}, "ends_before_start"),
        ({"cancelled_at": "2026-03-18"}, "cancelled_outside"),
        ({"cancelled_at": "2025-01-30"}, "cancelled_outside"),
        ({"cancelled_at": "2025-06-02", "ends_at": "2025-06-01"}, "cancelled_outside"),
    ],
)
def test_terms_that_can_not_be_are_refused_and_the_next_row_is_imported(
    terms: dict[str, Any], code: str, tmp_path: Path
) -> None:
    imported = run(json_lines(tmp_path / "a.jsonl", [row(1, subscription=terms), row(2)]))
    assert (imported.code, imported.outcomes, imported.codes) == (1, ["refused", "created"], [code, ""])
    assert Account.objects.get().external_id == "cus_2"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"external_id": None}, "external_id: This is missing."),
        ({"external_id": "x" * 201}, "external_id: This text is too long"),
        ({"name": None}, "name: This is missing."),
        ({"name": "\u200b"}, "name: This is empty."),
        ({"name": "a\x1bb"}, "name: There is a character in it"),
        ({"owner": None}, "owner: This is missing."),
        ({"owner": "olga@harbour.example"}, "owner: This is no object."),
        ({"owner": {"email": "nobody"}}, "owner.email: Enter a valid email address."),
        ({"owner": {"language": "xx"}}, "owner.language: This is none of: en, fr."),
        ({"owner": {"time_zone": "Mars/Olympus"}}, "owner.time_zone: This is no time zone"),
        ({"owner": {"secret@harbour.example": 1}}, "owner.(unknown): There is no such field."),
        ({"members": [{"email": "a@b.example", "role": "owner"}]}, "members.1.role: This is none of: admin, user."),
        ({"members": {"email": "a@b.example"}}, "members: This is no list."),
        ({"subscription": {"interval": "weekly"}}, "subscription.interval: This is none of"),
        ({"subscription": {"cents": None}}, "subscription.cents: This is missing."),
        ({"subscription": {"cents": 49.5}}, "subscription.cents: This is no whole number"),
        ({"subscription": {"cents": -1}}, "subscription.cents: This is no whole number"),
        ({"subscription": {"cents": True}}, "subscription.cents: This is no whole number"),
        ({"subscription": {"cents": 10**30}}, "subscription.cents: This is no whole number"),
        ({"subscription": {"seats": 0}}, "subscription.seats: This is no whole number from 1"),
        ({"subscription": {"currency": "EURO"}}, "subscription.currency: This is no currency"),
        ({"subscription": {"started_at": "0001-01-01T00:00:00Z"}}, "subscription.started_at: The year has to be one"),
        ({"subscription": {"started_at": "9999-12-31T23:59:59Z"}}, "subscription.started_at: The year has to be one"),
        ({"subscription": {"ends_at": "9999-12-31T23:59:59-12:00"}}, "subscription.ends_at: "),
        ({"subscription": {"started_at": "31.1.2025"}}, "subscription.started_at: This is no instant."),
        ({"subscription": {"started_at": 1738310400}}, "subscription.started_at: This is no instant."),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "created_at: "),
        ({"nmae": "Harbour"}, "nmae: There is no such field."),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_in_words_that_quote_nobody(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    found = row(1)
    for name, value in changes.items():
        found[name] = {**found.get(name, {}), **value} if isinstance(value, dict) else value
    imported = run(json_lines(tmp_path / "a.jsonl", [{name: v for name, v in found.items() if v is not None}]))
    assert (imported.code, imported.codes) == (1, ["invalid"])
    text = imported.report[0]["text"]
    assert told in text
    assert "@" not in text
    assert "harbour" not in text.lower()
    assert not Account.objects.exists()


def sweep_until(until: datetime) -> None:
    """All that beat does, day after day."""
    at = NOW
    while at <= until:
        for sweep in sweeps.registered():
            if sweep.name in ("settle", "remind", "notices", "refunds", "retention"):
                sweep.run(at)
        at += timedelta(days=1)


def test_nobody_is_mailed_about_what_lies_in_the_past(tmp_path: Path) -> None:
    """Not at the import, and not by any sweep after it."""
    rows = [
        row(1, subscription={"trial_ends_at": "2025-02-14T08:00:00Z"}),
        row(2, subscription={"ends_at": "2026-03-16T09:30:00Z"}),
        row(3, subscription={"cancelled_at": "2026-02-10T00:00:00Z", "ends_at": "2026-03-16T00:00:00Z"}),
        row(4, subscription={"cancelled_at": "2025-03-01T00:00:00Z"}),
        row(5, subscription={"trial_ends_at": "2025-02-14T08:00:00Z", "ends_at": "2025-02-14T08:00:00Z"}),
        row(6, subscription={"channel": "datadog_sales", "interval": "annual", "ends_at": "2026-01-31T08:00:00Z"}),
        row(7),
    ]
    assert run(json_lines(tmp_path / "a.jsonl", rows)).outcomes == ["created"] * 7
    sweep_until(NOW + timedelta(days=100))
    assert Notice.objects.count() == 0
    assert not Subscription.objects.ended(NOW).unsettled().exists()
    assert Cancellation.objects.open().count() == 0
    ended = Event.objects.filter(kind="subscription.ended").order_by("at").values_list("at", flat=True)
    assert [f"{at:%Y-%m-%d}" for at in ended] == ["2025-02-14", "2025-03-31", "2026-01-31", "2026-03-16", "2026-03-16"]


def test_what_is_still_to_come_is_told_in_time(tmp_path: Path) -> None:
    rows = [
        # Cancelled, with a cycle that ends on the 31st: of its two reminders one still lies ahead, and the end.
        row(1, subscription={"cancelled_at": "2026-03-01T00:00:00Z"}),
        # A contract that ends in 45 days: the reminders before 90 and 60 days are past.
        row(2, subscription={"channel": "datadog_sales", "interval": "annual", "ends_at": "2026-05-01T09:30:00Z"}),
    ]
    run(json_lines(tmp_path / "a.jsonl", rows))
    cancellation = Cancellation.objects.get()
    assert cancellation.effective_at == datetime(2026, 3, 31, 8, tzinfo=UTC)
    assert cancellation.subscription.ends_at == cancellation.effective_at
    sweep_until(NOW + timedelta(days=60))
    mails = Counter(Notice.objects.values_list("account__external_id", "kind"))
    assert mails == {
        ("cus_1", "subscriptions/ending_soon"): 2,
        ("cus_1", "subscriptions/subscription_ended"): 1,
        ("cus_2", "subscriptions/ending_soon"): 2,
        ("cus_2", "subscriptions/subscription_ended"): 1,
    }


def test_a_contract_may_begin_later_and_follow_what_is_live(tmp_path: Path) -> None:
    later = {
        "external_id": "sub_2",
        "channel": "datadog_sales",
        "interval": "annual",
        "started_at": "2026-06-01T00:00:00Z",
        "ends_at": "2027-06-01T00:00:00Z",
    }
    first = row(1, subscription={"ends_at": "2026-06-01T00:00:00Z"})
    imported = run(json_lines(tmp_path / "a.jsonl", [first, row(1, subscription=later)]))
    assert imported.outcomes == ["created", "changed"]
    event = Event.objects.get(kind="contract.entered")
    assert (event.at, event.facts["starts_at"]) == (NOW, "2026-06-01T00:00:00+00:00")
    sweep_until(datetime(2026, 6, 3, tzinfo=UTC))
    assert not Notice.objects.filter(kind="subscriptions/subscription_ended").exists()


def test_what_came_since_the_import_is_not_put_back_by_the_old_file(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", [rich()])
    run(file)
    account = Account.objects.get()
    owner, ada = account.owner(), User.objects.get(email="ada@harbour.example")
    assert owner is not None
    cancel(Subscription.objects.get(), by=Actor.owner(owner), at=NOW)
    note_proven(ada)
    ownership.hand_over(account, to=ada, stays=True, by=Actor.owner(owner), at=NOW)
    Account.objects.update(name="Lagoon")
    Membership.objects.filter(user__email="bob@harbour.example").delete()
    before = counts()
    assert run(file).outcomes == ["unchanged"]
    assert counts() == before


def test_nobody_who_was_erased_comes_back_by_a_file(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", [rich()])
    run(file)
    account = Account.objects.get()
    Subscription.objects.update(ends_at=NOW - timedelta(seconds=1))
    erase_all(account)
    assert not User.objects.exists()
    assert run(file).codes == ["erased"]
    assert run(json_lines(tmp_path / "b.jsonl", [row(1)])).codes == ["erased"]
    assert not Account.objects.exists()
    assert not User.objects.exists()


def test_nothing_is_added_where_all_goes_or_the_account_is_switched_off(tmp_path: Path) -> None:
    run(json_lines(tmp_path / "a.jsonl", [row(number, subscription=None) for number in (1, 2)]))
    oblige(Account.objects.get(external_id="cus_1"), due_at=NOW + timedelta(days=7))
    Account.objects.filter(external_id="cus_2").update(deactivated_at=NOW)
    before = counts()
    again = run(json_lines(tmp_path / "a.jsonl", [row(number, subscription=None) for number in (1, 2)]))
    assert again.outcomes == ["unchanged", "unchanged"]
    assert run(json_lines(tmp_path / "b.jsonl", [row(1), row(2)])).codes == ["to_be_erased", "deactivated"]
    assert counts() == before


def test_a_subscription_of_an_account_that_was_made_here_is_not_doubled(account: Account, tmp_path: Path) -> None:
    account.external_id = "cus_1"
    account.save()
    subscribe(account)
    told = row(1, name="Harbour", owner={"email": "owner@example.org"})
    assert run(json_lines(tmp_path / "a.jsonl", [told])).codes == ["overlaps"]
    told = {**told, "subscription": {**told["subscription"], "ends_at": "2026-01-31T08:00:00Z"}}
    assert run(json_lines(tmp_path / "b.jsonl", [told])).outcomes == ["changed"]
    assert Subscription.objects.of(account).count() == 2


def test_a_dry_run_says_what_would_happen_and_changes_nothing(tmp_path: Path) -> None:
    run(json_lines(tmp_path / "a.jsonl", [row(1)]))
    before = counts()
    file = json_lines(
        tmp_path / "b.jsonl",
        [
            row(1),
            row(2),
            row(2),
            row(2, name="Lagoon"),
            row(3, subscription={"cancelled_at": "2026-03-01", "plan": "enterprise"}),
            row(4, subscription={"ends_at": "2025-06-01"}),
            row(5, subscription={"plan": "platinum"}),
            row(1, name="Lagoon"),
        ],
    )
    imported = run(file, "--dry-run")
    assert imported.code == 1
    assert imported.outcomes == [
        "unchanged", "created", "unchanged", "changed", "created", "created", "refused", "refused",
    ]  # fmt: skip
    assert imported.codes == ["", "", "told_before", "told_before", "", "", "unknown_plan", "name_differs"]
    assert imported.printed.splitlines()[2:] == [
        "plan                 what     on           subscriptions",
        "enterprise           ends     2026-03-31   1",
        "pro                  ended                 1",
        "pro                  renews   2026-03-31   4",
        "refused, unknown_plan: 1",
        "refused, name_differs: 1",
        "8 rows: 3 created, 1 changed, 2 unchanged, 2 refused.",
        "Nothing was changed: this was a dry run.",
    ]
    assert counts() == before


def test_a_limit_ends_the_import_after_so_many_rows(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", [row(number) for number in range(1, 6)])
    assert run(file, "--limit=2").outcomes == ["created", "created"]
    assert run(file).outcomes == ["unchanged", "unchanged", "created", "created", "created"]


def test_an_imported_owner_gets_in_by_resetting_the_password_and_cancels(tmp_path: Path) -> None:
    import re

    from django.core import mail

    run(json_lines(tmp_path / "a.jsonl", [row(1)]))
    client = Client()
    client.post("/auth/password/reset/", {"email": "owner1@harbour.example"})
    (sent,) = mail.outbox
    (link,) = re.findall(r"https?://\S+/auth/password/reset/key/\S+", str(sent.body))
    page = client.get(link, follow=True)
    new = {"password1": "a brand new passphrase", "password2": "a brand new passphrase"}
    client.post(page.redirect_chain[-1][0], new)
    client.post("/auth/login/", {"login": "owner1@harbour.example", "password": new["password1"]})
    shown = client.get("/user/subscription/")
    assert shown.status_code == 200
    assert b"March 31, 2026" in shown.content


def test_staff_read_in_the_story_that_it_was_taken_over(tmp_path: Path, agent: User, sign_in: SignIn) -> None:
    run(json_lines(tmp_path / "a.jsonl", [row(1)]))
    found = sign_in(agent).get("/admin/accounts/account/", {"q": "sub_1"}, follow=True)
    assert "Taken over from another system" in found.content.decode()


def test_roles_of_members_are_those_of_the_file(tmp_path: Path) -> None:
    run(csv_file(tmp_path / "a.csv", [rich()]))
    assert Membership.objects.get(user__email="ada@harbour.example").role == Role.ADMIN
