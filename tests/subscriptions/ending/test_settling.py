"""Settling carries out what dates have decided."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Event, Notice, User
from subscriptions.ending.cancellation import cancel
from subscriptions.ending.settling import preview, settle_due, settle_some
from subscriptions.models import Channel, Subscription
from tests.factories import NOW, AccountFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def test_one_second_before_the_end_nothing_is_settled_at_the_end_all_and_again_nothing(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    end = cancellation.effective_at
    assert settle_due(end - SECOND) == 0
    assert settle_due(end) == 1
    assert settle_due(end) == 0
    subscription.refresh_from_db()
    cancellation.refresh_from_db()
    assert subscription.settled_at == cancellation.carried_out_at == end
    assert subscription.next_reminder_at is None


def test_the_end_is_told_once_in_history_and_by_mail(account: Account, owner: User) -> None:
    subscription = subscribe(account, ends_at=NOW + DAY)
    settle_due(NOW + 3 * DAY)
    event = Event.objects.get(kind="subscription.ended")
    assert (event.account_id, event.at, event.actor_kind) == (account.pk, NOW + DAY, "system")
    assert event.facts == {"subscription": subscription.pk, "plan": "pro", "channel": "direct", "plan_after": "free"}
    notice = Notice.objects.get(kind="subscriptions/subscription_ended")
    assert (notice.recipient, notice.queued_at, notice.next_attempt_at) == (owner, NOW + 3 * DAY, NOW + 3 * DAY)
    assert notice.facts["plan"] == "Pro"
    assert notice.facts["ended_at"] == "2026-03-18T09:30:00+00:00"


def test_a_week_without_beat_is_made_up_for(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    subscribe(ends_at=NOW + 2 * DAY)
    assert settle_due(NOW + 8 * DAY) == 2


def test_what_still_runs_is_left_alone(account: Account) -> None:
    subscribe(account)
    subscribe(ends_at=NOW + 10 * DAY)
    assert settle_due(NOW + DAY) == 0
    assert not Subscription.objects.exclude(settled_at=None).exists()


def test_batches_are_settled_one_after_the_other() -> None:
    for _number in range(5):
        subscribe(ends_at=NOW + DAY)
    assert [settle_some(NOW + DAY, batch=2) for _turn in range(4)] == [2, 2, 1, 0]
    assert Notice.objects.count() == 5


def test_an_account_that_has_nobody_in_it_is_settled_without_a_mail() -> None:
    account = Account.objects.create(name="Nobody's")
    subscribe(account, channel=Channel.GITHUB_MARKETPLACE, ends_at=NOW + DAY)
    assert settle_due(NOW + DAY) == 1
    assert not Notice.objects.exists()


def test_the_preview_says_what_would_happen_and_changes_nothing(account: Account) -> None:
    subscribe(account, ends_at=NOW + DAY)
    assert list(preview(NOW)) == []
    assert list(preview(NOW + DAY)) == [
        f"{account.pk} Harbour: pro ended at 2026-03-18T09:30:00Z, the account is on free"
    ]
    assert Subscription.objects.unsettled().count() == 1


def test_the_number_of_statements_does_not_grow_with_what_is_settled(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _number in range(20):
        subscribe(AccountFactory(), ends_at=NOW + DAY)
    # Two statements in a transaction for the batch; one more finds nothing left, and one finds none that failed before.
    with django_assert_num_queries(9):
        assert settle_due(NOW + DAY) == 20
