"""`manage.py sweep`, `manage.py doctor` and `/readyz/`: one registry, one list of invariants."""

import inspect
import re
from datetime import datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from accounts.core import clock
from accounts.jobs import sweeps
from accounts.jobs.due_work import Retried
from accounts.jobs.invariants import violations
from accounts.jobs.queues import ENDS_WITHIN, GRACE, Queue
from accounts.models import Account, Event, Notice, SweepRun
from accounts.tasks import sweep as sweep_task
from accounts.views.health import readiness
from config import celery
from subscriptions.models import Subscription
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
#: With it `/readyz/` tells how many.
TOKEN = {"Authorization": "Bearer test-api-token"}


def run(command: str, *args: str) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


def finished(at: datetime) -> None:
    """As if every sweep had just finished at `at`."""
    for sweep in sweeps.registered():
        SweepRun.objects.update_or_create(name=sweep.name, defaults={"started_at": at, "finished_at": at})


def test_sweep_carries_out_everything_that_is_due_in_order(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    first, second = run("sweep").splitlines(), run("sweep").splitlines()
    assert first.index("deliveries: 0 done") < first.index("settle: 1 done") < first.index("notices: 1 done")
    assert [line.partition(": ")[2] for line in second] == ["0 done"] * len(sweeps.registered())
    assert Notice.objects.unsent().count() == 0


def test_sweep_carries_out_only_what_it_is_told_to(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    assert run("sweep", "remind") == "remind: 0 done\n"
    assert Subscription.objects.unsettled().count() == 1


def test_a_dry_run_prints_a_line_an_account_and_changes_nothing(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    assert run("sweep", "settle", "--dry-run", "--at", "2098-01-01T00:00:00Z") == (
        f"settle: {account.pk} Harbour: pro ended at 2026-03-18T09:30:00Z, the account is on free\nsettle: 1 due\n"
    )
    assert Subscription.objects.unsettled().count() == 1
    assert not Event.objects.filter(kind="subscription.ended").exists()


def test_sweep_as_of_an_instant_is_exact_to_the_second(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    assert run("sweep", "settle", "--at", "2026-03-18T09:29:59Z") == "settle: 0 done\n"
    assert run("sweep", "settle", "--at", "2026-03-18T10:30:00+01:00") == "settle: 1 done\n"
    assert run("sweep", "settle", "--at", "2026-03-18T09:30:00") == "settle: 0 done\n"


def test_the_future_is_for_demonstrations(settings: Settings) -> None:
    future = (clock.now() + DAY).isoformat()
    with pytest.raises(CommandError, match="ALLOW_TIME_TRAVEL"):
        run("sweep", "--at", future)
    settings.ALLOW_TIME_TRAVEL = True
    said = run("sweep", "settle", "--at", future)
    assert said.startswith("settle: 0 done\n")
    assert "as of that instant, add ?at=" in said


@pytest.mark.parametrize("args", [["--at", "tomorrow"], ["nonsense"]])
def test_sweep_says_what_it_did_not_understand(args: list[str]) -> None:
    with pytest.raises(CommandError, match=r"This is no instant|There is no sweep"):
        run("sweep", *args)


def test_the_worker_runs_a_sweep_by_name(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    sweep_task("settle")
    noted = SweepRun.objects.get(name="settle")
    assert (noted.handled, noted.last_error) == (1, "")
    assert noted.finished_at is not None


def test_a_sweep_that_fails_is_noted_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(at: datetime) -> int:
        raise OperationalError("the disk is full")

    broken = sweeps.Sweep("broken", run=fail, preview=lambda at: iter(()), late_after=DAY)
    with pytest.raises(OperationalError):
        sweeps.run_and_note(broken, NOW)
    noted = SweepRun.objects.get(name="broken")
    assert noted.finished_at is None
    assert noted.last_error == "OperationalError: the disk is full"


def test_doctor_and_readyz_are_content_when_all_is_done(account: Account) -> None:
    finished(clock.now())
    assert run("doctor") == "All is well.\n"
    assert Client().get("/readyz/").json() == {"status": "ready"}


def test_doctor_and_readyz_name_a_subscription_that_nobody_settled(account: Account) -> None:
    finished(clock.now())
    subscription = subscribe(account, ends_at=NOW + DAY)
    with time_machine.travel(NOW + DAY + timedelta(minutes=15), tick=False):
        finished(clock.now())
        assert Client().get("/readyz/").json() == {"status": "ready"}
    readiness.forget()
    with time_machine.travel(NOW + DAY + timedelta(minutes=15, seconds=1), tick=False):
        finished(clock.now())
        response = Client().get("/readyz/", headers=TOKEN)
        out = StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("doctor", stdout=out)
    assert (response.status_code, end.value.code) == (503, 1)
    assert response.json()["problems"] == [
        "unsettled-subscription: 1 subscriptions ended more than 15 minutes ago and still not settled"
    ]
    assert f"({subscription.pk})" in out.getvalue()


def test_silence_of_beat_is_noticed() -> None:
    names = [sweep.name for sweep in sweeps.registered()]
    assert [v.examples[0] for v in violations(NOW) if v.name == "beat"] == names
    finished(NOW)
    assert violations(NOW + timedelta(minutes=5)) == []
    late = {v.examples[0] for v in violations(NOW + timedelta(minutes=6))}
    assert {"settle", "notices", "deliveries"} <= late
    assert "github-reconcile" not in late


def test_readyz_is_red_without_a_broker(settings: Settings) -> None:
    finished(clock.now())
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    response = Client().get("/readyz/", headers=TOKEN)
    assert response.status_code == 503
    assert response.json()["problems"] == ["broker: no connection; work is done later, nothing is lost"]


def test_every_sweep_stands_in_the_schedule_of_beat(settings: Settings) -> None:
    scheduled = {entry["args"][0] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled == {sweep.name for sweep in sweeps.registered()}


def test_a_sweep_that_failed_is_shown_to_staff_and_by_doctor() -> None:
    finished(clock.now())
    SweepRun.objects.filter(name="aws-reconcile").update(last_error="Unavailable: AWS does not answer")
    assert run("doctor") == (
        "warning: sweep-failed: 1 sweeps failed the last time (aws-reconcile: Unavailable: AWS does not answer)\n"
        "All is well.\n"
    )


@pytest.mark.parametrize(
    ("queue", "names"),
    [
        (
            Queue.NOW,
            "settle refunds wishes remind reprice notices deliveries aws-confirm aws-check github-check "
            "purchases stripe-check stripe-forget events last-mail elsewhere",
        ),
        (
            Queue.SLOW,
            "offboard export export-elsewhere bulk purge hygiene sessions invitations api-calls retention "
            "aws-reconcile github-reconcile stripe-reconcile",
        ),
    ],
)
def test_each_sweep_goes_to_its_queue(queue: Queue, names: str) -> None:
    assert {sweep.name for sweep in sweeps.registered() if sweep.queue == queue} == set(names.split())
    for name in names.split():
        sent_to = celery.app.amqp.router.route({}, "accounts.sweep", (name,))["queue"]
        assert sent_to.name == queue.value


def test_the_readme_says_which_queue_a_sweep_is_in_and_starts_both_workers() -> None:
    readme = (settings.BASE_DIR / "README.md").read_text()
    for sweep in sweeps.registered():
        assert re.search(rf"^\| `{sweep.name}` \| [^|]+ \| {sweep.queue.value} \| ", readme, re.MULTILINE), sweep.name
    for queue, limit in ENDS_WITHIN.items():
        limits = f"--soft-time-limit {limit.seconds} --time-limit {(limit + GRACE).seconds}"
        assert f"celery -A config worker --queues {queue} --hostname {queue}@%h --concurrency 2 {limits}\n" in readme


def test_no_run_may_take_longer_than_its_queue_allows() -> None:
    """A run and the turn that ends it: what a sweep declares of itself leaves room for it."""
    for sweep in sweeps.registered():
        run_of_it: timedelta = vars(inspect.getmodule(sweep.run))["RUN"]
        assert run_of_it <= ENDS_WITHIN[sweep.queue] * 0.8, sweep.name


@pytest.mark.parametrize("kind", [kind for kind in apps.get_models() if issubclass(kind, Retried)])
def test_a_lease_outlasts_a_run_and_its_last_turn(kind: type[Retried]) -> None:
    assert timedelta(minutes=5) <= kind.LEASE
    assert timedelta(0) < kind.FIRST_WAIT


def test_one_run_at_a_time_where_two_bring_nothing() -> None:
    """Another connection holds the lock: this run does nothing, notes nothing, and says so."""
    ran: list[datetime] = []

    def note(at: datetime) -> int:
        ran.append(at)
        return 1

    sweep = sweeps.Sweep("lonely", run=note, preview=lambda at: iter(()), late_after=DAY, alone=True)
    with sweeps.alone("lonely"):
        assert sweeps.run_and_note(sweep, NOW) is None
        assert not SweepRun.objects.filter(name="lonely").exists()
    assert sweeps.run_and_note(sweep, NOW) == 1
    assert sweeps.run_and_note(sweep, NOW) == 1
    assert ran == [NOW, NOW]
