"""`/metrics`: figures from rows, for who has the token of this door."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from accounts.jobs import measures, sweeps
from accounts.models import Account, Notice, SweepRun, User
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def token(settings: Settings) -> None:
    settings.METRICS_TOKEN = ["old", "new"]


def scraped(**labels: str) -> dict[str, float]:
    """What a scrape says at `NOW`: values by name, of those with these labels."""
    with time_machine.travel(NOW, tick=False):
        answer = Client().get("/metrics", headers={"Authorization": "Bearer new"})
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.labels == labels}


def test_without_a_token_of_its_own_the_door_is_not_there(settings: Settings) -> None:
    settings.METRICS_TOKEN = []
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer test-api-token"}):
        assert Client().get("/metrics", headers=headers).status_code == 404


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer ", "Bearer test-api-token", "Basic new", "Bearer newer", "new"])
def test_whoever_has_another_token_or_none_is_refused(said: str) -> None:
    refused = Client().get("/metrics", headers={"Authorization": said} if said else {})
    assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
    assert refused["WWW-Authenticate"] == 'Bearer realm="metrics"'


def test_a_token_can_be_rotated() -> None:
    for token in ("old", "new"):
        assert Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_prometheus_asks_each_server_by_its_address(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["blueprints.example"]
    settings.SECURE_SSL_REDIRECT = True
    asked = Client().get("/metrics", headers={"Host": "10.1.2.3:8000", "Authorization": "Bearer new"})
    assert asked.status_code == 200
    assert asked["Content-Type"].startswith("text/plain; version=")


def test_of_each_kind_of_work_it_says_how_much_waits_and_how_old_the_oldest_is(account: Account, owner: User) -> None:
    assert scraped(work="accounts.notice") == {
        f"offboard_work_{what}": 0 for what in ("pending", "due", "failing", "overdue", "oldest_seconds")
    }
    for number, (due, attempts) in enumerate([(-2, 0), (-1, 3), (1, 1)]):
        Notice.objects.create(
            account=account,
            recipient=owner,
            kind="subscriptions/cancelled",
            occasion=f"test:{number}",
            queued_at=NOW + (due - 1) * HOUR,
            next_attempt_at=NOW + due * HOUR,
            attempts=attempts,
        )
    assert scraped(work="accounts.notice") == {
        "offboard_work_pending": 3,
        "offboard_work_due": 2,
        "offboard_work_failing": 2,
        "offboard_work_overdue": 2,
        "offboard_work_oldest_seconds": 7200,
    }


def test_every_kind_of_due_work_is_among_them() -> None:
    told = {model._meta.label_lower for model in measures.kinds_of_work()}
    assert {"accounts.delivery", "accounts.export", "accounts.purge", "subscriptions.refund"} <= told
    for kind in told:
        assert "offboard_work_pending" in scraped(work=kind)


def test_how_much_time_is_left_until_the_nearest_deadline(account: Account) -> None:
    assert scraped(promise="purge") == {}
    purge = oblige(account)
    assert scraped(promise="purge") == {"offboard_deadline_margin_seconds": (purge.deadline_at - NOW).total_seconds()}


def test_sweeps_and_queues_tell_when_they_last_finished() -> None:
    SweepRun.objects.create(name="settle", started_at=NOW, finished_at=NOW - HOUR)
    SweepRun.objects.create(name="notices", started_at=NOW, finished_at=NOW, last_error="OSError: away")
    SweepRun.objects.create(name="purge", started_at=NOW)
    at = NOW.timestamp()
    assert scraped(sweep="settle", queue="now") == {"offboard_sweep_finished_timestamp_seconds": at - 3600}
    assert scraped(sweep="settle") == {"offboard_sweep_failed": 0}
    assert scraped(sweep="notices") == {"offboard_sweep_failed": 1}
    assert scraped(sweep="purge", queue="slow") == {}
    assert scraped(queue="now") == {"offboard_queue_finished_timestamp_seconds": at}
    assert scraped(queue="slow") == {}


def test_it_counts_what_readyz_complains_of(account: Account) -> None:
    subscribe(account, at=NOW - 30 * 24 * HOUR, ends_at=NOW - HOUR)
    for sweep in sweeps.registered()[1:]:
        SweepRun.objects.create(name=sweep.name, started_at=NOW, finished_at=NOW)
    assert scraped(name="unsettled-subscription") == {"offboard_problems": 1}
    assert scraped(name="beat") == {"offboard_problems": 1}


def test_no_label_is_an_id_or_an_address(account: Account) -> None:
    subscribe(account, at=NOW - 30 * 24 * HOUR, ends_at=NOW - HOUR)
    oblige(account)
    answer = Client().get("/metrics", headers={"Authorization": "Bearer new"}).content.decode()
    labels = re.findall(r'="([^"]*)"', answer)
    assert len(labels) > 50
    assert [label for label in labels if not re.fullmatch(r"[a-z]+([._-][a-z]+)*", label)] == []
