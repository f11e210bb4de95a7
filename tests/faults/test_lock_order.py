"""One order of locks (`accounts.core.locks`): who waits for an account holds nothing that its erasing could want."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.customers.history import Actor
from accounts.erasure import inventory, runner
from accounts.erasure.inventory import Scrubbed
from accounts.inbox import inbox
from accounts.models import Account, Delivery, Purge
from marketplace.aws import checks as aws_checks
from marketplace.aws.assessment import Answer
from marketplace.models import AwsAgreement, GitHubCustomer
from subscriptions.changes import call_off, change, end_at_once
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Interval, Subscription
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, AccountFactory, UserFactory, subscribe
from tests.fakes.github import FakeGitHub
from tests.faults.test_purge_kill import together
from tests.marketplace.conftest import deliver

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]

#: Far more than anything here takes, on a machine that is busy with other things.
PATIENCE_SECONDS = 120
DAY = timedelta(days=1)


@contextmanager
def waiting_for(account: Account, work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Within: this transaction has the account, and `work` waits for it. Afterwards: what `work` returned or raised."""
    came_of: list[Any] = []

    def carry_out() -> None:
        try:
            came_of.append(work())
        except Exception as error:
            came_of.append(error)
        finally:
            connection.close()

    worker = threading.Thread(target=carry_out)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        worker.start()
        until = time.monotonic() + PATIENCE_SECONDS
        while not _somebody_waits():
            assert worker.is_alive(), f"did not wait for the account: {came_of}"
            assert time.monotonic() < until
            time.sleep(0.01)
        yield came_of
    worker.join(PATIENCE_SECONDS)
    assert not worker.is_alive()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid())")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("transition", ["cancel", "withdraw", "change", "end", "call off"])
def test_a_transition_waits_for_the_account_before_it_holds_the_subscription(transition: str) -> None:
    account: Account = AccountFactory(owner=UserFactory())
    starts_at = NOW + DAY if transition == "call off" else NOW - DAY
    subscription = subscribe(account, at=NOW - DAY, starts_at=starts_at)
    by = Actor.system()
    cancellation = cancel(subscription, by=by, at=NOW)[0] if transition == "withdraw" else None
    transitions: dict[str, Callable[[], Any]] = {
        "cancel": lambda: cancel(subscription, by=by, at=NOW)[1],
        "withdraw": lambda: withdraw(cancellation, by=by, at=NOW) if cancellation else None,
        "change": lambda: change(
            subscription, plan_id=subscription.plan_id, interval=Interval.MONTHLY, seats=9, cents=1, at=NOW, by=by
        ),
        "end": lambda: end_at_once(subscription, at=NOW, by=by),
        "call off": lambda: call_off(subscription, at=NOW, by=by),
    }
    with waiting_for(account, transitions[transition]) as came_of:
        Subscription.objects.select_for_update(nowait=True).get(pk=subscription.pk)
    assert came_of == [True]


def bought(github: FakeGitHub) -> tuple[GitHubCustomer, Delivery]:
    """A customer who has bought, and the message of its cancellation, not processed yet."""
    buyer = github.account(login="harbour")
    deliver(github.buy(buyer, github.listing_plan(name="Pro", monthly=900)), NOW)
    assert inbox.process_due(NOW) == 1
    deliver(github.cancel(buyer), NOW)
    return GitHubCustomer.objects.get(), Delivery.objects.unprocessed().get()


def test_a_webhook_waits_for_the_account_before_it_holds_customer_or_subscription(github: FakeGitHub) -> None:
    customer, _delivery = bought(github)
    with waiting_for(customer.account, lambda: inbox.process_due(NOW)) as came_of:
        GitHubCustomer.objects.select_for_update(nowait=True).get(pk=customer.pk)
        Subscription.objects.select_for_update(nowait=True).get(github_customer=customer)
    assert came_of == [1]
    customer.refresh_from_db()
    assert customer.cancelled_at == NOW


def test_an_answer_of_awss_waits_for_the_account_before_it_holds_the_agreement() -> None:
    account: Account = AccountFactory(owner=UserFactory())
    row = AwsAgreement.objects.create(account=account, agreement_id="agmt-1", product_code="p", first_heard_at=NOW)

    def apply() -> None:
        with transaction.atomic():
            aws_checks.apply_answer(row.pk, Answer([], []), NOW + DAY)

    with waiting_for(account, apply) as came_of:
        AwsAgreement.objects.select_for_update(nowait=True).get(pk=row.pk)
    assert came_of == [None]


def test_an_erasing_passes_over_a_delivery_whose_worker_waits_for_the_account(github: FakeGitHub) -> None:
    """And takes it as soon as that worker is done: what was passed over is not forgotten."""
    customer, delivery = bought(github)
    stores = [store for store in inventory.stores() if isinstance(store, Scrubbed) and store.held_by_workers]
    with waiting_for(customer.account, lambda: inbox.process_due(NOW)) as came_of:
        # The purchase that was processed goes; the cancellation that a worker holds stays, and is still counted.
        assert sum(store.erase(customer.account_id, 100) for store in stores) == 1
        assert [store.count(customer.account_id) for store in stores].count(1) == 1
        assert Delivery.objects.get(body__isnull=False) == delivery
    assert came_of == [1]
    with transaction.atomic():
        assert sum(store.erase(customer.account_id, 100) for store in stores) == 1
    assert not any(store.count(customer.account_id) for store in stores)
    assert not Delivery.objects.filter(body__isnull=False).exists()


def test_cancelling_and_erasing_side_by_side_never_wait_for_each_other() -> None:
    before = deadlocks()
    for _round in range(8):
        account: Account = AccountFactory(owner=UserFactory())
        subscription = subscribe(account, at=NOW - DAY)
        row = oblige(account)
        calls = (
            lambda row=row: runner.take_turn(Purge.objects.get(pk=row.pk), NOW),
            lambda subscription=subscription: cancel(subscription, by=Actor.system(), at=NOW),
            lambda subscription=subscription: end_at_once(subscription, at=NOW, by=Actor.system()),
        )
        assert "deadlock" not in str(together(*calls))
    assert deadlocks() == before


def deadlocks() -> int:
    """How often PostgreSQL had to end one of two that waited for each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
