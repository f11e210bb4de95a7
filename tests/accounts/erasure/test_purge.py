"""The purge: what becomes of an account's data, and of everybody else's."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.blueprints.models import Blueprint
from accounts.core import clock
from accounts.core.write_guard import BeingErased, refuse_if_purging
from accounts.customers.history import Actor
from accounts.erasure import inventory, runner, starting
from accounts.erasure.inventory import Eraser
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.runner import purge_due, take_turn
from accounts.erasure.scheduling import TooLate, call_off
from accounts.jobs import sweeps
from accounts.jobs.due_work import claim
from accounts.jobs.invariants import violations
from accounts.jobs.sweeps import SweepRun
from accounts.models import Account, Certificate, Event, Membership, Purge, Role, SupportRequest, User
from subscriptions.ending.settling import settle_due
from subscriptions.models import BillingRecord, Cancellation
from tests.accounts.erasure.purging import MONTH, Flaky, erase_all, oblige, start_due
from tests.factories import NOW, AccountFactory, BlueprintFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def search_index() -> Iterator[Flaky]:
    index = Flaky()
    # The test may change what it answers.
    eraser = Eraser("search index", index.erase, lambda account_id: index.count(account_id))
    with inventory.ERASERS.replaced(eraser):
        yield index


def story(account: Account) -> list[str]:
    return list(Event.objects.filter(account=account, kind__startswith="purge").values_list("kind", flat=True))


def test_people_who_belong_to_none_leave_no_link_in_accounts_they_once_belonged_to(
    account: Account, owner: User, stranger: User
) -> None:
    elsewhere = stranger.accounts.get()
    request = SupportRequest.objects.create(
        account=elsewhere, kind="other", message="of the others", made_by=owner, made_at=NOW
    )
    cancellation = Cancellation.objects.create(
        subscription=subscribe(elsewhere), requested_at=NOW, requested_by=owner, effective_at=NOW + DAY
    )
    erase_all(account)
    request.refresh_from_db()
    cancellation.refresh_from_db()
    assert (request.message, request.made_by, cancellation.requested_by) == ("of the others", None, None)


def test_staff_are_never_erased_with_a_customer(account: Account, staff: User) -> None:
    Membership.objects.create(account=account, user=staff, role=Role.ADMIN)
    erase_all(account)
    staff.refresh_from_db()
    assert staff.is_active


def test_two_accounts_of_one_person_erased_side_by_side_erase_the_person_too(account: Account, owner: User) -> None:
    second = AccountFactory(owner=owner)
    rows = [oblige(account), oblige(second)]
    assert start_due(NOW) == 2
    assert [take_turn(row, NOW) for row in rows] == [True, True]
    assert not User.objects.filter(pk=owner.pk).exists()


def test_what_the_law_wants_is_kept_without_people(account: Account, owner: User) -> None:
    subscription = subscribe(account, at=NOW - DAY, ends_at=NOW)
    row = erase_all(account)
    kept = BillingRecord.objects.get()
    assert (kept.pk, kept.account_id, kept.plan, kept.cents) == (subscription.pk, account.pk, "pro", subscription.cents)
    assert kept.kept_until.year == NOW.year + 10
    assert row.kept["subscriptions.BillingRecord"] == 1


def test_starting_signs_out_and_refuses_every_write(account: Account, owner: User, sign_in: Any) -> None:
    browser: Client = sign_in(owner)
    blueprint = BlueprintFactory(account=account)
    subscribe(account, ends_at=NOW)
    oblige(account)
    assert start_due(NOW) == 1

    assert browser.get("/").status_code == 302
    with pytest.raises(BeingErased):
        refuse_if_purging(account.pk)
    with pytest.raises(BeingErased):
        blueprint.edit(name="late", components=[], at=NOW)
    with pytest.raises(IntegrityError, match="being erased"), transaction.atomic():
        BlueprintFactory(account=account)
    with pytest.raises(IntegrityError, match="being erased"), transaction.atomic():
        Membership.objects.create(account=account, user=UserFactory(), role=Role.USER)
    with pytest.raises(IntegrityError, match=r"person \d+ is being erased"), transaction.atomic():
        Membership.objects.create(account=AccountFactory(), user=owner, role=Role.USER)
    # The other sweeps pass it by and are not held up.
    assert settle_due(NOW) == 1
    assert not account.notices.exists()


def test_once_it_has_started_the_product_is_told_that_nothing_is_allowed_any_more(account: Account) -> None:
    token = {"Authorization": "Bearer test-api-token"}
    path = f"/api/accounts/{account.pk}/entitlements/"
    at = datetime.now(UTC)
    oblige(account, received_at=at, due_at=at, deadline_at=at + MONTH, at=at)
    assert Client().get(path, headers=token).json()["active"] is True
    assert start_due(at) == 1
    answer = Client().get(path, headers=token).json()
    assert (answer["active"], answer["features"]) == (False, [])


def test_started_twice_it_begins_once(account: Account) -> None:
    row = oblige(account)
    assert [starting.start(row, at=NOW), starting.start(row, at=NOW + HOUR)] == [True, False]
    row.refresh_from_db()
    account.refresh_from_db()
    assert (row.started_at, account.purging_at) == (NOW, NOW)
    assert sorted(story(account)) == ["purge.scheduled", "purge.started"]


def test_a_purge_is_not_started_before_it_is_due(account: Account) -> None:
    oblige(account, due_at=NOW + DAY)
    assert purge_due(NOW + DAY - timedelta(seconds=1)) == 0
    assert Account.objects.get().purging_at is None
    assert purge_due(NOW + DAY) == 1
    assert purge_due(NOW + DAY) == 0
    assert Certificate.objects.count() == 1


def test_scheduling_again_brings_forward_and_never_puts_off(account: Account) -> None:
    first = oblige(account, due_at=NOW + 20 * DAY)
    assert oblige(account, due_at=NOW + 25 * DAY) == first
    assert story(account) == ["purge.scheduled"]
    sooner = oblige(account, due_at=NOW + 10 * DAY, deadline_at=NOW + 15 * DAY, cause=PurgeCause.CUSTOMER_REQUEST)
    assert sooner == first
    assert (sooner.due_at, sooner.deadline_at) == (NOW + 10 * DAY, NOW + 15 * DAY)
    # Coming back to the marketplace does not undo what the customer asked for.
    assert call_off(account, at=NOW, by=Actor.system(), cause=PurgeCause.MARKETPLACE_CANCELLATION)
    assert not call_off(account, at=NOW, by=Actor.system(), cause=PurgeCause.MARKETPLACE_CANCELLATION)
    sooner.refresh_from_db()
    assert (sooner.cause, sooner.due_at, sooner.called_off_at) == ("customer_request", NOW + 10 * DAY, None)
    assert call_off(account, at=NOW, by=Actor.system())


def test_calling_off_keeps_everything_until_it_has_begun(account: Account) -> None:
    oblige(account)
    assert call_off(account, at=NOW, by=Actor.system())
    assert not call_off(account, at=NOW, by=Actor.system())
    assert purge_due(NOW + DAY) == 0
    oblige(account)
    assert start_due(NOW) == 1
    assert start_due(NOW) == 0
    with pytest.raises(TooLate):
        call_off(account, at=NOW, by=Actor.system())
    assert purge_due(NOW) == 1
    with pytest.raises(TooLate):
        call_off(account, at=NOW, by=Actor.system())


def test_an_account_that_pays_is_not_erased(account: Account) -> None:
    subscription = subscribe(account)
    row = oblige(account)
    assert purge_due(NOW) == 0
    row.refresh_from_db()
    assert row.waiting_for == "the end of a live subscription (pro)"
    subscription.ends_at = NOW + HOUR
    subscription.save()
    assert purge_due(NOW + HOUR) == 1


def test_a_store_that_fails_for_a_day_is_tried_again_and_holds_up_nobody(account: Account, search_index: Flaky) -> None:
    search_index.broken_for = {account.pk}
    row, other = oblige(account), oblige(AccountFactory(), due_at=NOW + HOUR)
    at, tries = NOW, 0
    while at < NOW + DAY:
        tries += Purge.objects.due(at).of(account.pk).count()
        assert purge_due(at) == (at == NOW + HOUR)
        at += timedelta(minutes=10)
    row.refresh_from_db()
    other.refresh_from_db()
    assert other.verified_at is not None
    assert NOW + HOUR < other.verified_at < NOW + HOUR + timedelta(minutes=1)
    assert (row.attempts, row.last_error) == (tries, "ConnectionError: the search index does not answer")
    assert 20 < tries < 35
    assert [v.examples for v in violations(at) if v.name == "purge-overdue"] == [[str(account.pk)]]

    search_index.broken_for, search_index.holds = set(), 3
    assert purge_due(at + HOUR) == 1
    row.refresh_from_db()
    assert (row.attempts, row.last_error, row.erased()["search index"]) == (0, "", 3)
    assert "purge-overdue" not in {v.name for v in violations(at)}


def test_something_left_behind_is_not_proven_but_shown(account: Account, search_index: Flaky, monkeypatch: Any) -> None:
    monkeypatch.setattr(search_index, "count", lambda account_id: 2)
    row = oblige(account)
    assert purge_due(NOW) == 0
    row.refresh_from_db()
    assert (row.left_behind_at, row.finished_at, row.last_error) == (NOW, None, "LeftBehind: search index 2")
    assert not Certificate.objects.exists()
    assert [v.examples for v in violations(NOW) if v.name == "purge-left-behind"] == [[str(account.pk)]]
    monkeypatch.undo()
    assert purge_due(NOW + HOUR) == 1


def test_the_newest_of_many_is_not_starved_by_the_oldest(monkeypatch: Any) -> None:
    monkeypatch.setattr(runner, "TURN", 0.0)
    big = AccountFactory()
    Blueprint.objects.bulk_create([Blueprint(account=big, name=str(number)) for number in range(30)])
    row = oblige(big)
    Purge.objects.filter(pk=row.pk).update(chunk=1)
    small = [oblige(AccountFactory(), due_at=NOW + timedelta(seconds=number)) for number in range(5)]
    assert purge_due(NOW + HOUR) == 6
    proven = Certificate.objects.order_by("number").values_list("account_id", flat=True)
    assert list(proven) == [*(row.account_id for row in small), big.pk]


def test_the_newest_of_ten_thousand_is_not_starved_by_the_oldest(account: Account, search_index: Flaky) -> None:
    """Those that can't be finished come back again and again, and there are very many of them."""
    old = [uuid.uuid4() for _number in range(9_999)]
    search_index.broken_for = set(old)
    Purge.objects.bulk_create(
        Purge(
            account_id=account_id,
            cause=PurgeCause.MARKETPLACE_CANCELLATION,
            received_at=NOW - 20 * DAY,
            due_at=NOW - 20 * DAY,
            deadline_at=NOW,
            started_at=NOW - 20 * DAY,
            attempts=5,
            # They have had their turns, and all want the next one by now.
            next_attempt_at=NOW + timedelta(microseconds=number),
        )
        for number, account_id in enumerate(old, start=1)
    )
    newest = oblige(account)
    first, second = (claim(Purge.objects.due, NOW + HOUR) for _turn in range(2))
    assert (first, second and second.account_id) == (newest, old[0])
    Purge.objects.filter(pk=newest.pk).update(next_attempt_at=NOW)
    assert take_turn(newest, NOW + HOUR)
    # One that fails goes to the end, behind all others.
    assert second
    assert not take_turn(second, NOW + HOUR)
    second.refresh_from_db()
    assert second.next_attempt_at > NOW + HOUR
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_purge")
    assert "purge_next" in Purge.objects.due(NOW + HOUR)[:1].explain()


def test_files_that_are_missing_already_are_fine(account: Account) -> None:
    blueprint = BlueprintFactory(account=account)
    blueprint.thumbnail.save("thumbnail.svg", ContentFile(b"<svg/>"))
    default_storage.delete(blueprint.thumbnail.name)
    assert erase_all(account).erased()["files"] == 1


def test_a_dry_run_says_what_is_due_and_changes_nothing(account: Account) -> None:
    oblige(account)
    out = StringIO()
    call_command("sweep", "purge", "--dry-run", "--at", NOW.isoformat(), stdout=out)
    assert out.getvalue() == (
        f"purge: {account.pk} Harbour: purge due since 2026-03-17T09:30:00Z, deadline 2026-04-16T09:30:00Z\n"
        "purge: 1 due\n"
    )
    assert Account.objects.get().purging_at is None


def test_doctor_and_readyz_are_red_before_a_deadline_is_missed_and_say_which(account: Account) -> None:
    other = AccountFactory()
    at = clock.now()
    sooner = {"received_at": at - MONTH, "deadline_at": at + 6 * HOUR - MINUTE, "at": at - MONTH}
    # Under way: neither is late to start.
    oblige(account, due_at=at, **sooner)
    oblige(other, due_at=at, **{**sooner, "deadline_at": at + 6 * HOUR + MINUTE})
    assert start_due(at) == 2
    for sweep in sweeps.registered():
        SweepRun.objects.create(name=sweep.name, started_at=at, finished_at=at)
    token = {"Authorization": "Bearer test-api-token"}
    answer, out = Client().get("/readyz/", headers=token), StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("doctor", stdout=out)
    line = "purge-deadline: 1 purges whose legal deadline is less than six hours away or has passed"
    assert (answer.status_code, answer.json()["problems"]) == (503, [line])
    assert end.value.code == 1
    assert f"{line} ({account.pk})" in out.getvalue()
    assert str(other.pk) not in out.getvalue()


def test_staff_are_told_before_a_deadline_is_missed(account: Account) -> None:
    oblige(account)

    def told(at: Any) -> dict[str, Any]:
        return {v.name: v.examples for v in violations(at) if v.name.startswith("purge")}

    assert told(NOW + HOUR) == {}
    assert told(NOW + HOUR + timedelta(seconds=1)) == {"purge-overdue": [str(account.pk)]}
    assert "purge-deadline" not in told(NOW + MONTH - 6 * HOUR)
    assert told(NOW + MONTH - 6 * HOUR + timedelta(seconds=1))["purge-deadline"] == [str(account.pk)]


@pytest.mark.parametrize(
    "values",
    [
        {"deadline_at": NOW - DAY},
        {"due_at": NOW - DAY},
        {"started_at": NOW - DAY},
        {"verified_at": NOW, "finished_at": NOW + DAY, "started_at": NOW},
        {"called_off_at": NOW, "started_at": NOW},
        {"chunk": 0},
        {"cause": "boredom"},
    ],
)
def test_the_database_refuses_dates_out_of_order(account: Account, values: dict[str, Any]) -> None:
    row = oblige(account)
    with pytest.raises(IntegrityError), transaction.atomic():
        Purge.objects.filter(pk=row.pk).update(**values)
