"""The desk's first page: exact numbers, in a number of statements that does not grow."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.customers.history import Actor
from accounts.desk.dashboard import figures
from accounts.desk.dashboard import page as dashboard
from accounts.desk.dashboard.figures import Chart, Choice, FigureProgress, Link, Listing
from accounts.desk.own.figures import margins
from accounts.erasure.starting import start
from accounts.jobs import sweeps
from accounts.models import Account, Delivery, Event, Notice, Purge, SupportRequest, SweepRun, User
from accounts.support.requests import RequestKind, ask
from marketplace.desk.figures import step_times
from marketplace.models import AwsAgreement, Offboarding, OffboardingStep, StepKind
from marketplace.offboarding.offboarding import OffboardingCause
from subscriptions.billing_record import BillingRecord
from subscriptions.desk.figures import cancellations, departures, ends, kept, reasons
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.ending.settling import settle_due
from subscriptions.models import Channel, Reason, Subscription
from tests.accounts.erasure.purging import erase_all, oblige
from tests.factories import NOW, AccountFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
#: The Monday of the week of NOW, a Tuesday.
MONDAY = datetime(2026, 3, 16, tzinfo=UTC)


@pytest.fixture(autouse=True)
def the_clock_stands_at_now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def listed(name: str, at: datetime = NOW, zone: Any = UTC) -> list[Any]:
    return list(figures.named(name).rows(at, zone))


def names(name: str, at: datetime = NOW, zone: Any = UTC) -> list[str]:
    """The accounts of a listing."""
    column = [column.code for column in figures.named(name).columns].index("account")
    return [row[column].text for row in listed(name, at, zone)]


def total(rows: list[Any]) -> int:
    """Over all weeks and channels."""
    return sum(row[-1] for row in rows)


def cancelled(at: datetime, *, reason: str = "", comment: str = "", name: str = "Quay") -> Any:
    subscription = subscribe(AccountFactory(name=name), at=at - 5 * DAY)
    return cancel(subscription, by=owner_of(subscription), at=at, reason=reason, comment=comment)[0]


def offboarding_of(account: Account, received_at: datetime, **changes: Any) -> Offboarding:
    return Offboarding.objects.create(
        account_id=account.pk,
        cause=OffboardingCause.CANCELLED,
        received_at=received_at,
        deadline_at=received_at + 30 * DAY,
        **changes,
    )


def step_of(offboarding: Offboarding, kind: StepKind, **changes: Any) -> OffboardingStep:
    number = list(StepKind).index(kind) + 1
    options = {"next_attempt_at": NOW, "limit_at": NOW, **changes}
    return OffboardingStep.objects.create(offboarding=offboarding, number=number, kind=kind, **options)


# Time


def test_the_weeks_of_the_charts_begin_on_mondays_in_utc() -> None:
    weeks = figures.weeks(NOW)
    assert (len(weeks), weeks[0], weeks[-1]) == (13, date(2025, 12, 22), date(2026, 3, 16))
    assert figures.window(NOW) == datetime(2025, 12, 22, tzinfo=UTC)
    assert figures.weeks(MONDAY)[-1] == date(2026, 3, 16)
    assert figures.weeks(MONDAY - timedelta(microseconds=1))[-1] == date(2026, 3, 9)


def test_a_day_is_the_readers_own_also_when_the_clocks_change() -> None:
    paris = ZoneInfo("Europe/Paris")
    begin, end = figures.today(datetime(2026, 3, 29, 12, tzinfo=UTC), paris)
    assert end.astimezone(UTC) - begin.astimezone(UTC) == 23 * HOUR
    assert begin.astimezone(UTC) == datetime(2026, 3, 28, 23, tzinfo=UTC)
    # Late on Sunday in UTC it is Monday in Auckland.
    begin, end = figures.this_week(datetime(2026, 3, 15, 20, tzinfo=UTC), ZoneInfo("Pacific/Auckland"))
    assert begin.date() == date(2026, 3, 16)
    assert end.date() == date(2026, 3, 23)


# Who ends


def test_todays_and_this_weeks_ends_are_those_of_the_readers_days() -> None:
    midnight = datetime(2026, 3, 18, tzinfo=UTC)
    for name, ends_at in (
        ("last week", MONDAY - timedelta(microseconds=1)),
        ("monday", MONDAY),
        ("first", datetime(2026, 3, 17, tzinfo=UTC)),
        ("last", midnight - timedelta(microseconds=1)),
        ("tomorrow", midnight),
        ("next week", MONDAY + WEEK),
    ):
        subscribe(AccountFactory(name=name), at=NOW - 50 * DAY, ends_at=ends_at)
    subscribe(AccountFactory(name="goes on"), at=NOW - 50 * DAY)
    assert names("ends-today") == ["first", "last"]
    assert names("ends-this-week") == ["monday", "first", "last", "tomorrow"]
    assert names("ends-today", zone=ZoneInfo("Asia/Tokyo")) == ["first"]


def test_an_undone_cancellation_and_a_renewed_contract_are_no_ends() -> None:
    subscription = subscribe(AccountFactory(name="stays"), at=NOW - 30 * DAY)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    withdraw(cancellation, by=owner_of(subscription), at=NOW)
    account = AccountFactory(name="renews")
    subscribe(account, at=NOW - 300 * DAY, channel=Channel.DATADOG_SALES, ends_at=NOW + HOUR)
    subscribe(account, at=NOW + HOUR, channel=Channel.DATADOG_SALES)
    assert names("ends-this-week") == []


# At risk


def test_purges_come_by_deadline_with_names_and_progress(account: Account) -> None:
    other = AccountFactory(name="Quay")
    oblige(other, deadline_at=NOW + 2 * DAY)
    later = oblige(account, deadline_at=NOW + 3 * DAY)
    assert names("purges") == ["Quay", "Harbour"]
    assert [row[5] for row in listed("purges")] == [None, None]
    Purge.objects.filter(pk=later.pk).update(
        started_at=NOW, progress={"files": {"erased": 3, "done": True}, "accounts.Notice": {"erased": 1, "done": False}}
    )
    progress = listed("purges")[1][5]
    assert isinstance(progress, FigureProgress)
    assert progress.done == 1
    assert progress.of > 20


def test_a_purge_that_is_over_or_called_off_is_not_at_risk(account: Account) -> None:
    Purge.objects.filter(pk=oblige(AccountFactory()).pk).update(called_off_at=NOW)
    erase_all(account)
    assert listed("purges") == []


def test_failing_steps_are_those_of_open_offboardings_that_were_tried() -> None:
    failing = offboarding_of(AccountFactory(name="fails"), NOW - DAY)
    step_of(failing, StepKind.HOOKS, attempts=2, last_error="403")
    step_of(failing, StepKind.TOKENS)
    step_of(failing, StepKind.PURGE, attempts=9)
    step_of(failing, StepKind.CONFIRM, attempts=1, done_at=NOW)
    called_off = offboarding_of(AccountFactory(name="came back"), NOW - DAY, called_off_at=NOW)
    step_of(called_off, StepKind.HOOKS, attempts=1)
    assert names("steps") == ["fails"]
    assert listed("steps")[0][3:5] == (Choice("hooks", "Delete repository hooks"), 2)


def test_failing_deliveries_come_with_the_parked_ones_first() -> None:
    for number, (attempts, due, processed) in enumerate(
        [(0, NOW, None), (3, NOW + HOUR, None), (1, None, None), (1, NOW, NOW)]
    ):
        Delivery.objects.create(
            source="github",
            delivery_id=f"d{number}",
            event="marketplace_purchase",
            body=b"{}",
            digest=bytes(32),
            received_at=NOW,
            attempts=attempts,
            next_attempt_at=due,
            processed_at=processed,
            outcome="applied" if processed else "",
        )
    assert [row[1].text for row in listed("deliveries")] == ["d2", "d1"]
    assert [row[5] for row in listed("deliveries")] == [Choice("parked", "parked"), NOW + HOUR]


def test_stuck_mails_are_those_queued_too_long_ago(account: Account, owner: User) -> None:
    for queued, sent in ((NOW - timedelta(minutes=15), None), (NOW - timedelta(minutes=16), None), (NOW - DAY, NOW)):
        Notice.objects.create(
            account=account,
            recipient=owner,
            kind="subscriptions/ending_soon",
            occasion=str(queued),
            queued_at=queued,
            next_attempt_at=queued,
            sent_at=sent,
        )
    assert [row[0] for row in listed("mails")] == [NOW - timedelta(minutes=16)]


def test_requests_due_are_the_open_ones_with_a_date(account: Account, owner: User) -> None:
    by = Actor.owner(owner)
    later, _new = ask(account, kind=RequestKind.DELETION, message="", by=by, at=NOW)
    sooner, _new = ask(account, kind=RequestKind.OTHER, message="hello", by=by, at=NOW)
    assert [row[1].text for row in listed("requests")] == [sooner.reference, later.reference]
    SupportRequest.objects.filter(pk=sooner.pk).update(due_at=None)
    assert [row[1].text for row in listed("requests")] == [later.reference]
    SupportRequest.objects.update(closed_at=NOW, outcome="answered")
    assert listed("requests") == []


def test_alarms_lead_to_where_staff_act() -> None:
    for sweep in sweeps.registered():
        SweepRun.objects.create(name=sweep.name, started_at=NOW, finished_at=NOW)
    offboarding = offboarding_of(AccountFactory(), NOW - 2 * DAY)
    step = step_of(offboarding, StepKind.HOOKS, attempts=1)
    (alarm,) = (found for found in dashboard.alarms(NOW) if found.violation.name == "offboarding-step")
    assert (alarm.violation.name, alarm.violation.count, alarm.is_overdue) == ("offboarding-step", 1, True)
    page = reverse("admin:marketplace_offboarding_change", args=[offboarding.pk])
    assert alarm.examples == [Link(str(step.pk), page)]
    assert alarm.list_url == "/admin/marketplace/offboarding/?finished_at__isempty=1&called_off_at__isempty=1"


def test_a_silent_sweep_leads_to_its_last_run_if_there_was_one() -> None:
    SweepRun.objects.create(name="settle", started_at=NOW - DAY, finished_at=NOW - DAY)
    links = {alarm.examples[0].text: alarm.examples[0].url for alarm in dashboard.alarms(NOW)}
    assert links["settle"] == "/admin/accounts/sweeprun/settle/change/"
    assert links["purge"] == ""


# Charts


def test_cancellations_count_by_week_and_channel_and_undone_ones_do_not_count() -> None:
    cancelled(MONDAY)
    cancelled(MONDAY - timedelta(microseconds=1))
    undone = cancelled(NOW - HOUR)
    withdraw(undone, by=owner_of(undone.subscription), at=NOW)
    offboarding_of(AccountFactory(), NOW - DAY)
    offboarding_of(AccountFactory(), NOW - DAY, called_off_at=NOW, called_off_because="purchased")
    offboarding_of(AccountFactory(), NOW - WEEK, called_off_at=NOW, called_off_because="chose_free")
    rows = cancellations(departures(NOW))
    assert len(rows) == 13
    # Week, direct, sales, AWS, GitHub, all.
    assert rows[-2:] == [(date(2026, 3, 9), 1, 0, 0, 1, 2), (date(2026, 3, 16), 1, 0, 0, 1, 2)]
    assert {row[1:] for row in rows[:-2]} == {(0, 0, 0, 0, 0)}


def test_who_leaves_at_aws_counts_when_aws_first_says_so() -> None:
    for number, (pending_at, ended_at) in enumerate(
        [(NOW - HOUR, None), (NOW - WEEK, NOW - HOUR), (None, NOW - WEEK), (None, None)]
    ):
        AwsAgreement.objects.create(
            account=AccountFactory(),
            agreement_id=f"agmt-{number}",
            first_heard_at=NOW - 9 * WEEK,
            subscribed_at=NOW - 9 * WEEK,
            unsubscribe_pending_at=pending_at,
            ended_at=ended_at,
            end_reason="unsubscribed" if ended_at else "",
        )
    assert [row[3] for row in cancellations(departures(NOW))] == [0] * 11 + [2, 1]


def test_what_happened_before_the_first_week_or_after_the_instant_is_not_counted() -> None:
    first = figures.window(NOW)
    cancelled(first)
    cancelled(first - timedelta(microseconds=1))
    cancelled(NOW + timedelta(microseconds=1))
    assert [row[-1] for row in cancellations(departures(NOW))] == [1] + [0] * 12


def test_ends_count_by_week_and_channel() -> None:
    subscribe(at=NOW - 50 * DAY, ends_at=NOW - HOUR)
    subscribe(at=NOW - 50 * DAY, ends_at=NOW)
    subscribe(at=NOW - 50 * DAY, channel=Channel.AWS_MARKETPLACE, ends_at=NOW - WEEK)
    assert ends(NOW)[-2:] == [(date(2026, 3, 9), 0, 0, 1, 0, 1), (date(2026, 3, 16), 1, 0, 0, 0, 1)]


def test_who_begins_again_within_30_days_has_not_left(account: Account) -> None:
    left = NOW - 40 * DAY
    subscribe(account, at=NOW - 90 * DAY, ends_at=left)
    assert total(ends(NOW)) == 1
    again = subscribe(account, at=left + 30 * DAY)
    assert total(ends(NOW)) == 1
    Subscription.objects.filter(pk=again.pk).update(started_at=left + 30 * DAY - timedelta(microseconds=1))
    assert total(ends(NOW)) == 0


def test_ends_of_erased_accounts_still_count_and_count_once(account: Account) -> None:
    subscribe(account, at=NOW - 50 * DAY, channel=Channel.GITHUB_MARKETPLACE, ends_at=NOW - WEEK)
    settle_due(NOW)
    before = ends(NOW)
    assert before[-2] == (date(2026, 3, 9), 0, 0, 0, 1, 1)
    start(oblige(account), at=NOW)
    assert BillingRecord.objects.count() == Subscription.objects.count() == 1
    assert ends(NOW) == before
    Subscription.objects.all()._raw_delete("default")
    assert ends(NOW) == before


def test_reasons_come_most_frequent_first_without_those_of_undone_cancellations() -> None:
    for reason in (Reason.UNUSED, Reason.UNUSED, Reason.QUALITY, ""):
        cancelled(NOW - DAY, reason=reason)
    undone = cancelled(NOW - HOUR, reason=Reason.QUALITY)
    withdraw(undone, by=owner_of(undone.subscription), at=NOW)
    rows = reasons(NOW)
    assert [(row[0].code, row[1]) for row in rows[:3]] == [("unused", 2), ("quality", 1), ("none", 1)]  # type: ignore[union-attr]
    assert len(rows) == len(Reason) + 1


def test_the_share_kept_is_that_of_the_week_of_the_cancellation() -> None:
    cancelled(NOW - DAY)
    cancelled(NOW - DAY)
    undone = cancelled(NOW - HOUR)
    withdraw(undone, by=owner_of(undone.subscription), at=NOW)
    offboarding_of(AccountFactory(), NOW - WEEK, called_off_at=NOW, called_off_because="purchased")
    assert kept(departures(NOW))[-3:] == [
        (date(2026, 3, 2), 0, 0, None),
        (date(2026, 3, 9), 1, 1, 100.0),
        (date(2026, 3, 16), 3, 1, 33.3),
    ]


def test_step_times_are_medians_and_ninetieth_percentiles_since_the_message() -> None:
    for hours in range(1, 12):
        offboarding = offboarding_of(AccountFactory(), NOW - 2 * DAY)
        step_of(offboarding, StepKind.HOOKS, done_at=NOW - 2 * DAY + hours * HOUR)
        step_of(offboarding, StepKind.TOKENS)
    absent = offboarding_of(AccountFactory(), NOW - DAY)
    Offboarding.objects.filter(pk=absent.pk).update(cause=OffboardingCause.ABSENT)
    step_of(absent, StepKind.HOOKS, done_at=NOW)
    rows = {row[0].code: row[1:] for row in step_times(NOW)}  # type: ignore[union-attr]
    assert list(rows) == ["deactivate", "confirm", "hooks", "tokens", "purge"]
    assert rows["hooks"] == (11, 6 * HOUR, 10 * HOUR)
    assert rows["tokens"] == (0, None, None)


def test_margins_of_purges_fall_into_classes_and_repeated_ones_do_not_count() -> None:
    deadline = NOW - DAY
    for hours, again in ((-0.5, False), (0, False), (0.99, False), (1, False), (11.9, False), (200, False), (2, True)):
        proven = deadline - timedelta(hours=hours)
        Purge.objects.create(
            account_id=AccountFactory().pk,
            cause="customer_request",
            received_at=proven - 9 * DAY,
            due_at=proven - 9 * DAY,
            deadline_at=deadline,
            next_attempt_at=NOW,
            started_at=proven,
            finished_at=proven,
            verified_at=proven,
            erased_before_at=proven - DAY if again else None,
        )
    assert [(row[0].code, row[1]) for row in margins(NOW)] == [  # type: ignore[union-attr]
        ("missed", 1),
        ("0-1", 2),
        ("1-3", 1),
        ("3-6", 0),
        ("6-12", 1),
        ("12-24", 0),
        ("24-168", 0),
        ("168+", 1),
    ]


# The page


def test_the_page_says_that_all_is_well_when_it_is(staff: User, sign_in: SignIn) -> None:
    for sweep in sweeps.registered():
        SweepRun.objects.create(name=sweep.name, started_at=NOW, finished_at=NOW)
    page = sign_in(staff).get("/admin/").content.decode()
    assert "Nothing is overdue, and nothing is inconsistent." in page
    assert page.count("Nothing in the last 13 weeks.") == 6
    assert '<svg class="chart"' not in page


def test_the_page_draws_what_there_is_with_its_numbers_and_its_definition(staff: User, sign_in: SignIn) -> None:
    cancelled(NOW - DAY, reason=Reason.UNUSED)
    page = sign_in(staff).get("/admin/").content.decode()
    # Cancellations, reasons, kept.
    assert page.count('<svg class="chart"') == 3
    assert page.count("<summary>The numbers</summary>") == 3
    assert "1 in 13 weeks, 1 of them this week." in page
    assert "Most often: I don&#x27;t use it enough (1 of 1)." in page
    assert "0% kept: 0 of 1 cancellation in 13 weeks." in page


def test_the_page_holds_nothing_that_the_policy_refuses_and_every_comment_is_escaped(
    staff: User, sign_in: SignIn
) -> None:
    cancelled(NOW - DAY, comment='<script>alert("1")</script>', name="<b>Quay</b>")
    response = sign_in(staff).get("/admin/")
    page = response.content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;" in page
    assert "<b>Quay" not in page
    assert " style=" not in page
    assert "<style" not in page
    assert "style-src 'self'" in response["Content-Security-Policy"]


def test_a_long_comment_is_cut_on_the_page_and_whole_in_the_sheet(staff: User, sign_in: SignIn) -> None:
    cancelled(NOW - DAY, comment="word " * 100 + "end")
    client = sign_in(staff)
    assert "word end" not in client.get("/admin/").content.decode()
    assert "word end" in client.get("/admin/figures/comments.csv").getvalue().decode("utf-8-sig")


def test_the_page_speaks_of_the_readers_time_zone(staff: User, sign_in: SignIn) -> None:
    User.objects.filter(pk=staff.pk).update(time_zone="Pacific/Auckland")
    page = sign_in(staff).get("/admin/").content.decode()
    assert "Times are in your time zone, Pacific/Auckland." in page


def test_ten_rows_are_shown_and_the_rest_is_counted(staff: User, sign_in: SignIn) -> None:
    for number in range(13):
        subscribe(AccountFactory(name=f"Quay {number}"), at=NOW - 50 * DAY, ends_at=NOW + number * timedelta(minutes=1))
    page = sign_in(staff).get("/admin/").content.decode()
    today = page[page.index('id="ends-today"') : page.index('id="ends-this-week"')]
    assert "Quay 9<" in today
    assert "Quay 10<" not in today
    assert "and 3 more" in today


def test_counting_stops_at_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "COUNTED", 12)
    for number in range(13):
        subscribe(at=NOW - 50 * DAY, ends_at=NOW + number * HOUR)
    figure = figures.named("ends-this-week")
    assert isinstance(figure, Listing)
    excerpt = figure.excerpt(NOW, UTC)
    assert (len(excerpt.rows), excerpt.more, excerpt.is_cut_off) == (10, 2, True)


def many(count: int) -> None:
    """So many of everything that the page looks at, by few statements."""
    accounts = Account.objects.bulk_create(Account(name=f"Account {n}", created_at=NOW) for n in range(count))
    people = User.objects.bulk_create(User(email=f"many{n}@example.org") for n in range(count))
    Subscription.objects.bulk_create(
        Subscription(
            account=account,
            plan_id="pro",
            channel=list(Channel)[n % 4],
            interval=1,
            cents=1,
            started_at=NOW - 50 * DAY,
            anchor_at=NOW - 50 * DAY,
            ends_at=NOW + timedelta(minutes=n % 250 + 20) * (-1) ** n,
        )
        for n, account in enumerate(accounts)
    )
    Purge.objects.bulk_create(
        Purge(
            account_id=account.pk,
            cause="customer_request",
            received_at=NOW,
            due_at=NOW,
            deadline_at=NOW + DAY,
            next_attempt_at=NOW,
        )
        for account in accounts
    )
    Notice.objects.bulk_create(
        Notice(account=a, recipient=p, kind="a/b", occasion="x", queued_at=NOW - HOUR, next_attempt_at=NOW)
        for a, p in zip(accounts, people, strict=True)
    )
    SupportRequest.objects.bulk_create(
        SupportRequest(account=account, kind="other", made_at=NOW, due_at=NOW + DAY) for account in accounts
    )
    offboardings = Offboarding.objects.bulk_create(
        Offboarding(account_id=a.pk, cause="cancelled", received_at=NOW - 2 * DAY, deadline_at=NOW + DAY)
        for a in accounts
    )
    OffboardingStep.objects.bulk_create(
        OffboardingStep(offboarding=o, number=3, kind="hooks", attempts=1, next_attempt_at=NOW, limit_at=NOW)
        for o in offboardings
    )
    OffboardingStep.objects.bulk_create(
        OffboardingStep(offboarding=o, number=2, kind="confirm", next_attempt_at=NOW, limit_at=NOW, done_at=NOW)
        for o in offboardings
    )
    Delivery.objects.bulk_create(
        Delivery(
            source="github", delivery_id=str(n), event="x", body=b"", digest=bytes(32), received_at=NOW, attempts=1
        )
        for n in range(count)
    )


def statements(client: Client) -> int:
    client.get("/admin/")
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/admin/").status_code == 200
    return len(captured)


def test_the_page_takes_as_many_statements_with_a_thousand_of_everything_as_with_ten(
    staff: User, sign_in: SignIn
) -> None:
    client = sign_in(staff)
    many(10)
    few = statements(client)
    User.objects.filter(email__startswith="many").delete()
    for model in (OffboardingStep, Offboarding, Delivery, Notice, SupportRequest, Purge, Subscription, Account):
        model.objects.all()._raw_delete("default")
    many(1000)
    assert statements(client) == few
    assert few < 110


# Sheets


@pytest.mark.parametrize("name", [figure.name for figure in figures.registered()])
def test_every_figure_has_a_sheet_whose_rows_fit_its_columns(name: str, staff: User, sign_in: SignIn) -> None:
    many(3)
    cancelled(NOW - DAY, comment="=1")
    response = sign_in(staff).get(f"/admin/figures/{name}.csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(response.getvalue().decode("utf-8-sig"), newline=""))
    assert header == [column.code for column in figures.named(name).columns]
    assert rows or name == "ends-nothing"
    assert {len(row) for row in rows} == {len(header)}


def test_a_comment_is_guarded_in_its_sheet(staff: User, sign_in: SignIn) -> None:
    cancelled(NOW - DAY, comment=' =HYPERLINK("http://elsewhere.example")', name="+Quay")
    _header, row = csv.reader(
        io.StringIO(sign_in(staff).get("/admin/figures/comments.csv").getvalue().decode("utf-8-sig"))
    )
    assert row[0] == "2026-03-16T09:30:00Z"
    assert row[1] == "'+Quay"
    assert row[5] == '\' =HYPERLINK("http://elsewhere.example")'


def test_sheets_and_page_are_for_staff(owner: User, sign_in: SignIn) -> None:
    for path in ("/admin/", "/admin/figures/ends.csv"):
        assert sign_in(None).get(path).status_code == 302
        assert sign_in(owner).get(path).status_code == 403
    assert Event.objects.filter(kind="desk.denied").count() == 2


def test_there_is_no_sheet_of_what_is_no_figure(staff: User, sign_in: SignIn) -> None:
    assert sign_in(staff).get("/admin/figures/nothing.csv").status_code == 404
    assert sign_in(staff).post("/admin/figures/ends.csv").status_code == 405


def test_every_chart_says_what_it_counts() -> None:
    for figure in figures.registered():
        assert str(figure.definition).endswith(".")
        if isinstance(figure, Chart):
            assert "13 weeks" in str(figure.definition) or "week" in str(figure.definition)
