"""`kill -9` in the middle of a bulk run: whoever comes next goes on, every row is done once, none is told half."""

import time

import pytest
from django.contrib.auth.models import Group

from accounts.core import roles
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named
from accounts.desk.bulk import run as bulk
from accounts.desk.bulk.run import BulkItem, BulkRun
from accounts.desk.bulk.worker import work_through
from accounts.models import Event, Notice, StaffAction
from subscriptions.models import Cancellation, Subscription
from tests.factories import NOW, AccountFactory, UserFactory, subscribe
from tests.faults.processes import sweep

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
ROWS = 120
#: Rows after which a worker is killed, counted over the whole run: at the beginning, in the middle, near the end.
KILLS = (5, 40, 90)
#: Seconds for a process to start and come that far.
PATIENCE = 60


def test_every_row_is_done_once_however_often_a_worker_is_killed() -> None:
    lead = UserFactory(is_staff=True)
    lead.groups.add(Group.objects.get(name=roles.LEAD))
    by = Actor.staff(lead)
    for number in range(ROWS):
        subscribe(AccountFactory(name=f"Quay {number}"), at=NOW)
    run = bulk.begin(
        act_named("cancel"),
        Subscription.objects.order_by("pk"),
        {"reason": "case 4711", "identity": ["owner_email", "card_digits"]},
        by=by,
        at=NOW,
    )

    killed_after(KILLS[0], "rehearsed_at")
    assert not Cancellation.objects.exists()
    work_through(NOW)
    assert BulkItem.objects.filter(rehearsed_at=NOW).count() == ROWS
    assert not Cancellation.objects.exists()
    bulk.confirm(run, by=by, at=NOW)

    for rows in KILLS:
        killed_after(rows, "done_at")
        told_is_done()
    assert sweep("bulk", at=NOW).wait() == 0

    told_is_done()
    assert BulkItem.objects.exclude(done_at=None).count() == ROWS
    assert BulkRun.objects.get().phase == "finished"


def killed_after(rows: int, field: str) -> None:
    """Kill a worker once so many rows have this instant."""
    worker = sweep("bulk", at=NOW)
    stop = time.monotonic() + PATIENCE
    while BulkItem.objects.exclude(**{field: None}).count() < rows and time.monotonic() < stop:
        time.sleep(0.01)
    assert worker.poll() is None, "the worker was done before it could be killed"
    worker.kill()
    worker.wait()
    assert rows <= BulkItem.objects.exclude(**{field: None}).count() < ROWS


def told_is_done() -> None:
    """Rows that say so were done, once, with all that belongs to it; others were not."""
    done = set(BulkItem.objects.exclude(done_at=None).values_list("target_id", flat=True))
    assert sorted(str(pk) for pk in Cancellation.objects.values_list("subscription_id", flat=True)) == sorted(done)
    assert StaffAction.objects.count() == Notice.objects.count() == len(done)
    assert Event.objects.filter(kind="cancellation.requested").count() == len(done)
