"""What happens when everything happens at once: real transactions, threads, and a barrier."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.core import clock
from accounts.mail.sending import send_due
from accounts.models import Account, Event, Notice, User
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.messages import hear
from marketplace.aws.registration import Registration, TakenByAnother, finish
from marketplace.aws.vocabulary import Names, Said, Word
from subscriptions.ending.cancellation import AlreadyEnded, cancel, withdraw
from subscriptions.ending.reminders import remind_due
from subscriptions.ending.settling import settle_due
from subscriptions.models import Cancellation, Subscription
from tests.factories import NOW, owner_of, subscribe
from tests.pages import form_on

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
DAY = timedelta(days=1)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that all start at the same moment; what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(timeout=20)
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result(timeout=60) for future in [threads.submit(run, call) for call in calls]]


@contextmanager
def held(subscription: Subscription) -> Iterator[None]:
    """The subscription's row, locked by somebody else for as long as the block runs."""
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Subscription.objects.locked().get(pk=subscription.pk)
                locked.set()
                release.wait(timeout=20)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(timeout=20)
    try:
        yield
    finally:
        release.set()
        thread.join()


def test_fifty_posts_of_one_cancellation_make_one_row_one_event_one_mail(
    account: Account, owner: User, sign_in: Callable[[User | None], Client]
) -> None:
    subscribe(account, at=clock.now())
    client = sign_in(owner)
    cookies = client.cookies
    sent = form_on(client, "/user/subscription/cancellation/").sent(reason="unused")

    def post() -> int:
        tab = Client()
        tab.cookies = cookies
        return tab.post("/user/subscription/cancellation/", sent).status_code

    # The pool has twelve connections; fifty requests queue for them as they would in production.
    assert together(*[post] * 50) == [302] * 50
    assert Cancellation.objects.count() == 1
    assert Event.objects.filter(kind="cancellation.requested").count() == 1
    assert Notice.objects.count() == 1


def test_the_owner_keeps_while_the_sweep_settles_and_there_is_always_one_winner(account: Account) -> None:
    outcomes = set()
    chance = random.Random(20260317)  # noqa: S311  # the same staggers in every run
    for number in range(200):
        start = NOW + number * timedelta(days=40)
        subscription = subscribe(account, at=start)
        owner = owner_of(subscription)
        cancellation, _new = cancel(subscription, by=owner, at=start)
        end = cancellation.effective_at

        def keep(cancellation: Cancellation = cancellation) -> bool:
            # The owner's click came a moment before the end; the sweep runs at the end.
            at = cancellation.effective_at - timedelta(microseconds=1)
            return withdraw(cancellation, by=owner_of(cancellation.subscription), at=at)

        def settle(end: Any = end) -> int:
            # A stagger within the time that keeping takes, so that each wins some of the rounds.
            time.sleep(chance.uniform(0, 0.012))
            return settle_due(end)

        kept, settled = together(keep, settle)
        subscription.refresh_from_db()
        cancellation.refresh_from_db()
        story = list(
            Event.objects.filter(account=account, facts__subscription=subscription.pk)
            .order_by("id")
            .values_list("kind", flat=True)
        )
        if kept is True:
            outcomes.add("kept")
            assert settled == 0
            assert (subscription.ends_at, subscription.settled_at, cancellation.carried_out_at) == (None, None, None)
            assert story == ["subscription.started", "cancellation.requested", "cancellation.withdrawn"]
            # Out of the way of the next round.
            Subscription.objects.filter(pk=subscription.pk).update(ends_at=end, settled_at=end)
        else:
            outcomes.add("settled")
            assert isinstance(kept, AlreadyEnded)
            assert settled == 1
            assert (subscription.ends_at, subscription.settled_at, cancellation.withdrawn_at) == (end, end, None)
            assert story == ["subscription.started", "cancellation.requested", "subscription.ended"]
    # Both must have happened at least once, or nothing was raced.
    assert outcomes == {"kept", "settled"}


def test_two_sweeps_side_by_side_settle_everything_once() -> None:
    for _number in range(40):
        subscribe(ends_at=NOW + DAY)
    counts = together(*[lambda: settle_due(NOW + DAY)] * 4)
    assert sum(counts) == 40
    assert Event.objects.filter(kind="subscription.ended").count() == 40
    assert Notice.objects.filter(kind="subscriptions/subscription_ended").count() == 40


def test_two_sweeps_side_by_side_remind_once() -> None:
    for _number in range(20):
        subscribe(ends_at=NOW + 8 * DAY)
    counts = together(*[lambda: remind_due(NOW + DAY)] * 4)
    assert sum(counts) == 20
    assert Notice.objects.filter(kind="subscriptions/ending_soon").count() == 20


def test_two_workers_side_by_side_send_each_mail_once(settings: Any, tmp_path: Any) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "config.mail.FolderBackend", str(tmp_path)
    for _number in range(30):
        subscribe(ends_at=NOW + DAY)
    settle_due(NOW + DAY)
    counts = together(*[lambda: send_due(NOW + DAY)] * 3)
    assert sum(counts) == 30
    assert Notice.objects.unsent().count() == 0
    assert len(list(tmp_path.glob("*.eml"))) == 30


def test_settling_leaves_a_locked_subscription_for_the_next_run_and_settles_the_others(account: Account) -> None:
    busy = subscribe(account, ends_at=NOW + DAY)
    subscribe(ends_at=NOW + DAY)
    with held(busy):
        assert settle_due(NOW + DAY) == 1
    assert settle_due(NOW + DAY) == 1


def test_a_cancellation_waits_for_the_lock(account: Account) -> None:
    """Proves that the lock is taken: with the row held, cancelling runs into the time limit of its statement."""
    subscription = subscribe(account)
    owner = owner_of(subscription)

    def cancel_in_a_hurry() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            return cancel(subscription, by=owner, at=NOW)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")

    with held(subscription):
        (outcome,) = together(cancel_in_a_hurry)
    assert "lock timeout" in str(outcome)
    assert not Cancellation.objects.exists()


def test_of_two_people_with_one_registration_exactly_one_gets_the_purchase(account: Account, stranger: User) -> None:
    found = Registration.objects.create(
        key="key",
        licence_id="l-1",
        aws_account_id="440000000001",
        product_code="product",
        resolved_at=NOW,
        expires_at=NOW + DAY,
    )
    owner = account.owner()
    assert owner is not None
    outcomes = together(*[lambda by=by: finish(found, by=by, at=NOW) for by in (owner, stranger) * 3])
    refused = [outcome for outcome in outcomes if isinstance(outcome, TakenByAnother)]
    linked = {outcome[0] for outcome in outcomes if isinstance(outcome, tuple)}
    assert (len(refused), len(linked)) == (3, 1)
    assert AwsAgreement.objects.get().account in linked
    assert Event.objects.filter(kind="aws.registered").count() == 1


def test_one_message_processed_beside_itself_starts_one_subscription(account: Account) -> None:
    names = Names(agreement_id="agmt-1", aws_account_id="440000000001")
    AwsAgreement.objects.create(agreement_id="agmt-1", account=account, first_heard_at=NOW, registered_at=NOW)
    said = Said("Purchase Agreement Created", Word.RUNS, NOW, names)

    def hears() -> object:
        with transaction.atomic():
            return hear(said, NOW).outcome

    outcomes = together(*[hears] * 8)
    assert sorted(outcomes) == ["applied"] + ["no_change"] * 7
    assert Subscription.objects.of(account).count() == 1
