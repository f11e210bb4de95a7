"""`/healthz/` and `/readyz/`: open to everybody who asks, so they cost little and tell little."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.core import leaving
from accounts.jobs import sweeps
from accounts.models import Account, SweepRun
from accounts.views.health import ASKED_EVERY, readiness
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
TOKEN = {"Authorization": "Bearer test-api-token"}


@pytest.fixture
def unsettled(account: Account) -> Any:
    """An account whose subscription ended an hour ago, and nobody has carried that out."""
    subscribe(account, at=NOW - timedelta(days=30), ends_at=NOW - timedelta(hours=1))
    for sweep in sweeps.registered():
        SweepRun.objects.create(name=sweep.name, started_at=NOW, finished_at=NOW)
    with time_machine.travel(NOW, tick=False):
        yield


def test_healthz_asks_nothing_of_the_database(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/healthz/").json() == {"status": "ok"}


@pytest.mark.parametrize("door", ["/healthz/", "/readyz/"])
@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8000", "[::1]", "elsewhere.example"])
def test_a_load_balancer_asks_by_address(
    door: str, host: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALLOWED_HOSTS = ["blueprints.example"]
    answer = Client().get(door, headers={"Host": host})
    assert answer.status_code == (200 if door == "/healthz/" else 503)
    assert answer["Content-Type"] == "application/json"
    assert "DisallowedHost" not in caplog.text


def test_another_method_than_reading_is_refused() -> None:
    assert Client().post("/healthz/").status_code == Client().post("/readyz/").status_code == 405


@pytest.mark.usefixtures("unsettled")
def test_a_stranger_learns_what_is_wrong_and_not_for_how_many() -> None:
    answer = Client().get("/readyz/")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "problems": ["unsettled-subscription"]}


@pytest.mark.usefixtures("unsettled")
def test_a_wrong_token_is_as_good_as_none() -> None:
    assert Client().get("/readyz/", headers={"Authorization": "Bearer x"}).json() == Client().get("/readyz/").json()


@pytest.mark.usefixtures("unsettled")
def test_who_has_a_token_learns_how_many() -> None:
    answer = Client().get("/readyz/", headers=TOKEN)
    assert answer.status_code == 503
    assert answer.json()["problems"] == [
        "unsettled-subscription: 1 subscriptions ended more than 15 minutes ago and still not settled"
    ]


def test_silent_sweeps_are_one_reason_however_many_they_are() -> None:
    assert Client().get("/readyz/").json()["problems"] == ["beat"]


@pytest.mark.usefixtures("unsettled")
def test_a_stranger_who_asks_again_asks_nothing_of_the_database(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    first = Client().get("/readyz/")
    with django_assert_num_queries(0):
        again = [Client().get("/readyz/") for _ in range(20)]
    assert {(answer.status_code, answer.content) for answer in again} == {(503, first.content)}


def test_an_answer_is_given_for_some_seconds_and_then_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Client().get("/readyz/").json()
    for sweep in sweeps.registered():
        SweepRun.objects.create(name=sweep.name, started_at=NOW, finished_at=NOW)
    with time_machine.travel(NOW, tick=False):
        assert Client().get("/readyz/").json() == before
        # As if it had been asked that long ago.
        readiness._asked_at -= ASKED_EVERY
        assert Client().get("/readyz/").json() == {"status": "ready"}


def test_a_foreign_name_is_refused_and_leaves_no_traceback_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALLOWED_HOSTS = ["blueprints.example"]
    for path in ("/", "/admin/", "/marketplace/github/webhook/"):
        assert Client().post(path, headers={"Host": "elsewhere.example"}).status_code == 400
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.usefixtures("unsettled")
def test_a_web_server_that_was_told_to_stop_says_so_and_answers_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(leaving.MARK, str(tmp_path / "leaving"))
    assert Client().get("/readyz/").json()["problems"] == ["unsettled-subscription"]
    (tmp_path / "leaving").touch()
    answer = Client().get("/readyz/")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["stopping"])
    assert Client().get("/healthz/").status_code == 200
