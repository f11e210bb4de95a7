"""Bulk runs: rehearsed, confirmed, carried out row by row; each row's end is told, and nothing happens twice."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.core import clock, roles
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.desk.actions import action
from accounts.desk.actions.action import Act, act_named
from accounts.desk.bulk import run as bulk
from accounts.desk.bulk.run import ATTEMPTS, FRESH, BulkItem, BulkRun
from accounts.desk.bulk.worker import KEPT, work_through
from accounts.erasure.starting import start
from accounts.jobs import invariants
from accounts.models import Account, Event, Membership, Notice, StaffAction, User
from subscriptions.models import Cancellation, Channel, Reason, Subscription
from tests.accounts.erasure.purging import erase_all, oblige
from tests.factories import NOW, AccountFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
VALUES = {"reason": "case 4711", "why": Reason.UNUSED.value, "identity": ["owner_email", "card_digits"]}


@pytest.fixture
def lead(db: None) -> User:
    return in_group(roles.LEAD, "lead@example.com")


@pytest.fixture
def by(lead: User) -> Actor:
    return Actor.staff(lead)


def in_group(group: str, email: str) -> User:
    user: User = UserFactory(email=email, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def subscriptions(count: int) -> list[Subscription]:
    return [subscribe(AccountFactory(name=f"Quay {number}"), at=NOW - 5 * DAY) for number in range(count)]


def begun(by: Actor, name: str = "cancel", values: dict[str, Any] | None = None) -> BulkRun:
    act = act_named(name)
    rows = act.model._default_manager.order_by("name" if act.model is Account else "pk")
    return bulk.begin(act, rows, values or VALUES, by=by, at=NOW)


def confirmed(by: Actor, **options: Any) -> BulkRun:
    run = begun(by, **options)
    work_through(NOW)
    run.refresh_from_db()
    bulk.confirm(run, by=by, at=NOW)
    return run


def states(run: BulkRun) -> list[str]:
    return [item.state for item in run.items.order_by("pk")]


def phase(run: BulkRun) -> str:
    run.refresh_from_db()
    return run.phase


class Stubborn:
    """An act that fails for some accounts, or is refused for them, and otherwise renames."""

    def __init__(self) -> None:
        self.fails: dict[str, Exception] = {}
        self.calls: list[str] = []

    def __call__(self, row: Account, values: Any, by: Actor, at: Any) -> str:
        self.calls.append(row.name)
        Account.objects.filter(pk=row.pk).update(deactivated_at=at)
        if error := self.fails.get(row.name):
            raise error
        return f"{row.name} is switched off."


@pytest.fixture
def stubborn() -> Iterator[Stubborn]:
    """Registered as `stubborn`, for as long as the test lasts."""
    stubborn = Stubborn()
    act = Act("stubborn", "Switch off", Account, roles.CANCEL, stubborn, account_of=lambda account: account.pk)
    with action.REGISTRY.replaced(act):
        yield stubborn


def accounts(*names: str) -> list[Account]:
    return [AccountFactory(name=name) for name in names]


# Beginning


def test_nothing_happens_before_it_is_confirmed(by: Actor) -> None:
    subscriptions(3)
    events = Event.objects.count()
    run = begun(by)
    assert (run.phase, states(run)) == ("rehearsing", ["waiting"] * 3)
    assert work_through(NOW) == 3
    assert (phase(run), states(run)) == ("preview", ["ready"] * 3)
    assert work_through(NOW + MINUTE) == 0
    assert not Cancellation.objects.exists()
    assert not Notice.objects.exists()
    assert not StaffAction.objects.exists()
    assert Event.objects.count() == events


def test_the_preview_says_of_each_row_what_would_be_written_or_why_not(by: Actor) -> None:
    direct, elsewhere = subscriptions(1)[0], subscribe(channel=Channel.AWS_MARKETPLACE, at=NOW - DAY)
    run = begun(by)
    work_through(NOW)
    possible, refused = run.items.order_by("pk")
    assert (possible.target_id, refused.target_id) == (str(direct.pk), str(elsewhere.pk))
    assert possible.would_write[0] == "Subscription cancelled"
    assert possible.would_write[1].startswith("Mail to ")
    assert "the subscription ends on" in possible.would_say
    assert (refused.state, refused.outcome) == (
        "refused",
        "A subscription bought through AWS Marketplace is not cancelled here.",
    )


def test_rows_of_accounts_that_are_being_erased_are_left_out(by: Actor, stubborn: Stubborn) -> None:
    going, staying = accounts("Going", "Staying")
    start(oblige(going), at=NOW)
    run = begun(by, "stubborn")
    assert (run.total, run.left_out) == (1, 1)
    assert [item.account_id for item in run.items.all()] == [staying.pk]


def test_no_rows_and_too_many_rows_are_refused(by: Actor, stubborn: Stubborn, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="no row"):
        begun(by, "stubborn")
    accounts("One", "Two", "Three")
    monkeypatch.setattr(bulk, "MOST", 2)
    with pytest.raises(Refused, match="At most 2 rows"):
        begun(by, "stubborn")
    assert not BulkRun.objects.exists()


def test_a_second_run_of_the_same_act_waits_for_the_first(by: Actor, stubborn: Stubborn) -> None:
    accounts("One")
    first = begun(by, "stubborn")
    with pytest.raises(Refused, match=f"no. {first.pk}"):
        begun(by, "stubborn")
    assert begun(Actor.staff(in_group(roles.LEAD, "other@example.com")), "stubborn").pk != first.pk
    bulk.cancel(first, at=NOW)
    assert begun(by, "stubborn").phase == "rehearsing"


def test_the_database_allows_one_open_run_of_an_act_and_one_end_of_a_row(by: Actor, stubborn: Stubborn) -> None:
    accounts("One")
    run = begun(by, "stubborn")
    with pytest.raises(IntegrityError, match="bulk_run_one_open_of_an_act"), transaction.atomic():
        BulkRun.objects.create(act=run.act, by=run.by, total=1, created_at=NOW)
    with pytest.raises(IntegrityError, match="bulk_item_ends_once"), transaction.atomic():
        run.items.update(done_at=NOW, refused_at=NOW)
    with pytest.raises(IntegrityError, match="bulk_run_rehearsed_before_confirmed"), transaction.atomic():
        BulkRun.objects.update(confirmed_at=NOW)


# Confirming


def test_confirmed_rows_are_carried_out_with_deed_history_and_mail(by: Actor) -> None:
    subscriptions(3)
    run = confirmed(by)
    assert work_through(NOW + SECOND) == 3
    assert (phase(run), states(run)) == ("finished", ["done"] * 3)
    assert run.finished_at == NOW + SECOND
    assert Cancellation.objects.filter(reason="unused").count() == 3
    assert sorted(StaffAction.objects.values_list("act", "reason", "by")) == [("cancel", "case 4711", run.by_id)] * 3
    assert Event.objects.filter(kind="desk.cancel", actor_id=run.by_id).count() == 3
    assert Notice.objects.count() == 3
    assert work_through(NOW + MINUTE) == 0
    assert Cancellation.objects.count() == 3


def test_confirming_twice_confirms_once(by: Actor) -> None:
    subscriptions(1)
    run = confirmed(by)
    assert bulk.confirm(run, by=by, at=NOW + MINUTE) is False
    assert BulkRun.objects.get().confirmed_at == NOW


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("another person", "Only the one who began"),
        ("too early", "no preview"),
        ("cancelled", "no preview"),
        ("too late", "more than a day old"),
        ("nothing to do", "no row"),
    ],
)
def test_a_confirmation_is_refused_and_nothing_is_queued(by: Actor, stubborn: Stubborn, why: str, message: str) -> None:
    accounts("One")
    if why == "nothing to do":
        stubborn.fails["One"] = Refused("not possible")
    run = begun(by, "stubborn")
    if why != "too early":
        work_through(NOW)
    if why == "cancelled":
        bulk.cancel(run, at=NOW)
    who = Actor.staff(in_group(roles.LEAD, "other@example.com")) if why == "another person" else by
    with pytest.raises(Refused, match=message):
        bulk.confirm(run, by=who, at=NOW + (FRESH + SECOND if why == "too late" else SECOND))
    assert not BulkItem.objects.exclude(next_attempt_at=None).exists()
    assert BulkRun.objects.get().confirmed_at is None


def test_a_row_that_has_changed_since_the_preview_is_refused_then(by: Actor) -> None:
    (subscription,) = subscriptions(1)
    run = confirmed(by)
    Subscription.objects.filter(pk=subscription.pk).update(ends_at=NOW, settled_at=NOW)
    work_through(NOW + SECOND)
    item = run.items.get()
    assert (item.state, item.outcome) == (
        "refused",
        "The subscription is over: there is nothing left to cancel or to keep.",
    )
    assert phase(run) == "finished"
    assert not Cancellation.objects.exists()


def test_a_row_that_is_gone_is_refused(by: Actor, stubborn: Stubborn) -> None:
    (account,) = accounts("One")
    run = confirmed(by, name="stubborn")
    Membership.objects.all().delete()
    Account.objects.filter(pk=account.pk).delete()
    work_through(NOW + SECOND)
    assert run.items.get().outcome == "It is no longer there."


def test_what_the_form_no_longer_accepts_is_refused(by: Actor) -> None:
    subscriptions(1)
    run = begun(by, values={**VALUES, "reason": ""})
    work_through(NOW)
    assert run.items.get().outcome == "This field is required."


# Failing


def test_a_failing_row_undoes_what_it_did_backs_off_and_holds_up_nobody(by: Actor, stubborn: Stubborn) -> None:
    accounts("One", "Two", "Three")
    run = confirmed(by, name="stubborn")
    stubborn.fails["Two"] = ValueError("the disk is full")
    work_through(NOW + SECOND)
    assert states(run) == ["done", "done", "retrying"]
    item = run.items.get(name="Two")
    assert (item.attempts, item.last_error) == (1, "ValueError: the disk is full")
    assert item.next_attempt_at == NOW + SECOND + timedelta(seconds=30)
    assert Account.objects.exclude(deactivated_at=None).count() == 2
    assert StaffAction.objects.count() == 2
    assert phase(run) == "running"
    del stubborn.fails["Two"]
    work_through(NOW + MINUTE)
    assert (phase(run), states(run)) == ("finished", ["done"] * 3)
    assert StaffAction.objects.count() == 3


def test_a_row_that_fails_too_often_stands_as_failed_until_staff_try_it_again(by: Actor, stubborn: Stubborn) -> None:
    accounts("One")
    run = confirmed(by, name="stubborn")
    stubborn.fails["One"] = ValueError("broken")
    stubborn.calls.clear()
    for hour in range(10):
        work_through(NOW + timedelta(hours=hour))
    assert len(stubborn.calls) == ATTEMPTS == 5
    assert (phase(run), states(run)) == ("finished", ["failed"])
    assert run.items.get().outcome == "ValueError: broken"
    stubborn.fails.clear()
    assert bulk.retry(run, by=by, at=NOW + DAY) == 1
    assert phase(run) == "running"
    work_through(NOW + DAY)
    assert (phase(run), states(run)) == ("finished", ["done"])
    assert bulk.retry(run, by=by, at=NOW + DAY) == 0
    assert phase(run) == "finished"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_the_database_refuses_only_at_commit_is_a_failure_of_its_row_alone(
    by: Actor, stubborn: Stubborn, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = accounts("One", "Two")

    def lose_the_owner(row: Account, values: Any, by: Actor, at: Any) -> str:
        Membership.objects.create(account=row, user=UserFactory(), role="user")
        if row.pk == one.pk:
            Membership.objects.filter(account=row, role="owner").delete()
        return "done"

    with action.REGISTRY.replaced(
        Act("lose", "Lose", Account, roles.CANCEL, lose_the_owner, account_of=lambda row: row.pk)
    ):
        run = confirmed(by, name="lose")
        work_through(NOW + SECOND)
    assert states(run) == ["retrying", "done"]
    assert "no owner" in run.items.get(name="One").last_error
    assert one.owner() is not None
    assert Membership.objects.filter(account=two).count() == 2


def test_who_has_lost_the_right_meanwhile_does_nothing_more(by: Actor, lead: User) -> None:
    subscriptions(2)
    run = confirmed(by)
    lead.groups.clear()
    work_through(NOW + SECOND)
    assert (phase(run), states(run)) == ("finished", ["refused"] * 2)
    assert run.items.earliest("pk").outcome == "Who began this may no longer do it."
    assert not Cancellation.objects.exists()


def test_an_act_that_is_no_longer_offered_is_refused(by: Actor, stubborn: Stubborn) -> None:
    accounts("One")
    run = confirmed(by, name="stubborn")
    with action.REGISTRY.without("stubborn"):
        work_through(NOW + SECOND)
        assert run.items.get().outcome == "This is no longer offered."
        assert bulk.act_of(run) is None


def test_an_error_in_the_rehearsal_is_told_and_its_row_left_alone(by: Actor, stubborn: Stubborn) -> None:
    accounts("One", "Two")
    stubborn.fails["One"] = ZeroDivisionError("division by zero")
    run = begun(by, "stubborn")
    work_through(NOW)
    assert (phase(run), states(run)) == ("preview", ["refused", "ready"])
    assert run.items.get(name="One").outcome == "ZeroDivisionError: division by zero"
    assert not Account.objects.exclude(deactivated_at=None).exists()


# Cancelling


def test_a_cancelled_run_leaves_the_rest_alone_and_what_was_done_stays(by: Actor, stubborn: Stubborn) -> None:
    accounts("One", "Two")
    run = confirmed(by, name="stubborn")
    stubborn.fails["Two"] = ValueError("not yet")
    work_through(NOW + SECOND)
    assert bulk.cancel(run, at=NOW + MINUTE) is True
    assert (phase(run), states(run)) == ("cancelled", ["done", "left"])
    stubborn.fails.clear()
    work_through(NOW + DAY)
    assert states(run) == ["done", "left"]
    assert bulk.cancel(run, at=NOW + DAY) is False
    with pytest.raises(Refused, match="can't go on"):
        bulk.retry(run, by=by, at=NOW + DAY)


def test_a_preview_that_nobody_wants_is_cancelled_after_a_day_and_forgotten_after_ninety(
    by: Actor, stubborn: Stubborn
) -> None:
    accounts("One")
    run = begun(by, "stubborn")
    work_through(NOW)
    work_through(NOW + FRESH)
    assert phase(run) == "preview"
    work_through(NOW + FRESH + SECOND)
    assert (phase(run), states(run)) == ("cancelled", ["left"])
    work_through(NOW + FRESH + SECOND + KEPT)
    assert BulkRun.objects.count() == 1
    work_through(NOW + FRESH + KEPT + MINUTE)
    assert (BulkRun.objects.count(), BulkItem.objects.count()) == (0, 0)


# Erasing


def test_the_rows_of_an_erased_account_go_with_it_and_the_runs_texts_too(by: Actor, stubborn: Stubborn) -> None:
    one, _two = accounts("One", "Two")
    run = confirmed(by, name="stubborn", values={"reason": "Olga of One asked for it"})
    work_through(NOW + SECOND)
    assert phase(run) == "finished"
    erase_all(one)
    run.refresh_from_db()
    assert (run.values, [item.name for item in run.items.all()]) == (None, ["Two"])
    with pytest.raises(Refused, match="can't go on"):
        bulk.retry(run, by=by, at=NOW + DAY)


def test_an_open_run_of_which_an_account_is_erased_forgets_its_texts_and_does_nothing_more(
    by: Actor, stubborn: Stubborn
) -> None:
    one, _two = accounts("One", "Two")
    run = confirmed(by, name="stubborn", values={"reason": "Olga of One asked for it"})
    erase_all(one)
    work_through(NOW + SECOND)
    run.refresh_from_db()
    assert (run.phase, run.values, states(run)) == ("finished", None, ["refused"])
    assert "has been erased" in run.items.get().outcome
    assert not StaffAction.objects.exists()


# Sweep


def test_a_dry_run_names_what_would_be_carried_out(by: Actor) -> None:
    (subscription,) = subscriptions(1)
    run = confirmed(by)
    out = io.StringIO()
    call_command("sweep", "bulk", "--dry-run", "--at", NOW.isoformat(), stdout=out)
    assert (
        out.getvalue() == f"bulk: {subscription.account_id} {subscription}: cancel (bulk run {run.pk})\nbulk: 1 due\n"
    )
    assert states(run) == ["ready"]


def test_a_run_that_is_not_finished_within_the_hour_is_shown_to_staff(by: Actor, stubborn: Stubborn) -> None:
    accounts("One")
    run = confirmed(by, name="stubborn")

    def stuck(after: timedelta) -> list[str]:
        return [found.examples[0] for found in invariants.violations(NOW + after) if found.name == "bulk-run"]

    assert stuck(timedelta(hours=1)) == []
    assert stuck(timedelta(hours=1, seconds=1)) == [str(run.pk)]


def test_what_is_said_is_said_in_the_language_of_the_one_who_began(by: Actor, lead: User, stubborn: Stubborn) -> None:
    User.objects.filter(pk=lead.pk).update(language="fr")
    (account,) = accounts("One")
    run = begun(by, "stubborn", values={"reason": ""})
    work_through(NOW)
    assert run.items.get().outcome == "Ce champ est obligatoire."
    assert account.pk


def test_a_row_takes_as_many_statements_in_a_long_run_as_in_a_short_one(by: Actor, stubborn: Stubborn) -> None:
    def statements(count: int) -> float:
        accounts(*(f"Account {number}" for number in range(count)))
        run = confirmed(by, name="stubborn")
        with CaptureQueriesContext(connection) as captured:
            work_through(NOW + SECOND)
        assert phase(run) == "finished"
        bulk.cancel(run, at=NOW)
        return len(captured) / run.total

    few = statements(10)
    assert statements(90) <= few


# Pages


def test_the_pages_lead_from_the_rehearsal_to_the_end(lead: User, by: Actor, sign_in: SignIn) -> None:
    subscriptions(2)
    client = sign_in(lead)
    run = begun(by)
    page = client.get(f"/admin/bulk/{run.pk}/")
    assert page["Refresh"] == "3"
    assert 'max="2"' in page.content.decode()
    assert "Refresh" not in client.get(f"/admin/bulk/{run.pk}/?still")
    work_through(NOW)
    BulkRun.objects.update(rehearsed_at=clock.now())
    page = client.get(f"/admin/bulk/{run.pk}/")
    assert "Refresh" not in page
    assert "Do it for 2 rows" in page.content.decode()
    assert "Nothing has happened yet." in page.content.decode()
    answer = client.post(f"/admin/bulk/{run.pk}/confirm/", follow=True)
    assert "It is carried out now." in answer.content.decode()
    assert answer["Refresh"] == "3"
    work_through(clock.now())
    page = client.get(f"/admin/bulk/{run.pk}/")
    assert "Refresh" not in page
    assert page.content.decode().count("bulk-done") == 2
    assert "finished" in client.get("/admin/bulk/").content.decode()


def test_the_rows_can_be_narrowed_and_are_paged(lead: User, by: Actor, stubborn: Stubborn, sign_in: SignIn) -> None:
    accounts(*(f"Account {number:03}" for number in range(103)))
    stubborn.fails["Account 101"] = Refused("not this one")
    run = begun(by, "stubborn")
    work_through(NOW)
    client = sign_in(lead)
    first = client.get(f"/admin/bulk/{run.pk}/").content.decode()
    assert first.count("bulk-ready") == 100
    assert "Page 1 of 2" in first
    assert client.get(f"/admin/bulk/{run.pk}/?page=2").content.decode().count("bulk-r") == 3
    refused = client.get(f"/admin/bulk/{run.pk}/?only=refused").content.decode()
    assert "not this one" in refused
    assert refused.count("bulk-refused") == 1


def test_the_results_are_a_sheet(lead: User, by: Actor, stubborn: Stubborn, sign_in: SignIn) -> None:
    account, _other = accounts("=One", "Two")
    stubborn.fails["Two"] = Refused("=not this one")
    run = confirmed(by, name="stubborn")
    work_through(NOW + SECOND)
    text = sign_in(lead).get(f"/admin/bulk/{run.pk}/results.csv").getvalue().decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == [
        "row",
        "account_id",
        "name",
        "state",
        "would_say",
        "would_write",
        "outcome",
        "attempts",
        "done_at",
    ]
    assert rows[0][:4] == [str(account.pk), str(account.pk), "'=One", "done"]
    assert rows[0][-1] == "2026-03-17T09:30:01Z"
    assert rows[1][3] == "refused"
    assert rows[1][6] == "'=not this one"


def test_names_and_outcomes_are_escaped(lead: User, by: Actor, stubborn: Stubborn, sign_in: SignIn) -> None:
    accounts("<b>One</b>")
    run = begun(by, "stubborn", values={"reason": "<i>why</i>"})
    work_through(NOW)
    page = sign_in(lead).get(f"/admin/bulk/{run.pk}/").content.decode()
    assert "<b>One" not in page
    assert "<i>why" not in page
    assert "&lt;b&gt;One&lt;/b&gt; is switched off." in page


@pytest.mark.parametrize("door", ["", "results.csv", "confirm/", "cancel/", "retry/"])
def test_a_run_is_for_those_who_may_do_the_act(door: str, by: Actor, sign_in: SignIn) -> None:
    subscriptions(1)
    run = begun(by, "end_now")
    work_through(NOW)
    before = BulkRun.objects.values().get()
    agent = in_group(roles.AGENT, "agent@example.com")
    client = sign_in(agent)
    method = client.post if door in ("confirm/", "cancel/", "retry/") else client.get
    assert method(f"/admin/bulk/{run.pk}/{door}").status_code == 403
    assert BulkRun.objects.values().get() == before
    denied = Event.objects.get(kind="desk.denied")
    assert (denied.actor_id, denied.facts["permission"]) == (agent.pk, roles.END)


def test_what_changes_a_run_is_posted(lead: User, by: Actor, sign_in: SignIn) -> None:
    subscriptions(1)
    run = begun(by)
    for door in ("confirm", "cancel", "retry"):
        assert sign_in(lead).get(f"/admin/bulk/{run.pk}/{door}/").status_code == 405
    assert sign_in(None).post(f"/admin/bulk/{run.pk}/cancel/").status_code == 302
    assert phase(run) == "rehearsing"


def test_another_lead_may_cancel_and_not_confirm(by: Actor, sign_in: SignIn) -> None:
    subscriptions(1)
    run = begun(by)
    work_through(NOW)
    client = sign_in(in_group(roles.LEAD, "other@example.com"))
    assert "Do it for" not in client.get(f"/admin/bulk/{run.pk}/").content.decode()
    answer = client.post(f"/admin/bulk/{run.pk}/confirm/", follow=True)
    assert "Only the one who began a bulk run can confirm it." in answer.content.decode()
    assert phase(run) == "preview"
    client.post(f"/admin/bulk/{run.pk}/cancel/")
    assert phase(run) == "cancelled"


def test_the_pages_take_as_many_statements_with_a_thousand_rows_as_with_ten(
    lead: User, by: Actor, stubborn: Stubborn, sign_in: SignIn
) -> None:
    client = sign_in(lead)

    def statements(count: int) -> int:
        run = BulkRun.objects.create(act="stubborn", by=lead, total=count, created_at=NOW, cancelled_at=NOW)
        BulkItem.objects.bulk_create(
            BulkItem(run=run, target_id=str(number), name=f"Account {number}", left_at=NOW) for number in range(count)
        )
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"/admin/bulk/{run.pk}/").status_code == 200
            assert client.get("/admin/bulk/").status_code == 200
        return len(captured)

    statements(1)
    assert statements(10) == statements(1000)
