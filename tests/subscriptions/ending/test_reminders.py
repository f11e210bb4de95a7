"""Owners are reminded of an end, each reminder once."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Notice
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.ending.reminders import preview, remind_due
from subscriptions.models import Channel
from tests.factories import NOW, owner_of, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def reminders() -> list[str]:
    notices = Notice.objects.filter(kind="subscriptions/ending_soon").order_by("queued_at")
    return [notice.occasion.rsplit(":", 1)[1] for notice in notices]


def test_a_cancelling_owner_is_reminded_seven_days_and_one_day_before_the_end(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    end = cancellation.effective_at
    found = [
        remind_due(at)
        for at in (end - 7 * DAY - SECOND, end - 7 * DAY, end - 7 * DAY, end - DAY - SECOND, end - DAY, end - SECOND)
    ]
    assert found == [0, 1, 0, 0, 1, 0]
    assert reminders() == ["7", "1"]


def test_a_contract_that_runs_out_is_announced_thirty_and_seven_days_before(account: Account) -> None:
    end = NOW + 60 * DAY
    subscribe(account, channel=Channel.DATADOG_SALES, ends_at=end)
    assert [remind_due(end - days * DAY) for days in (31, 30, 8, 7, 1)] == [0, 1, 0, 1, 0]
    assert reminders() == ["30", "7"]


def test_after_days_without_beat_only_the_most_urgent_reminder_goes_out(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    assert remind_due(cancellation.effective_at - timedelta(hours=2)) == 1
    assert reminders() == ["1"]


def test_nobody_is_reminded_of_an_end_that_has_passed(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    assert remind_due(cancellation.effective_at) == 0


def test_who_keeps_the_subscription_is_not_reminded(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    withdraw(cancellation, by=owner_of(subscription), at=NOW + DAY)
    assert remind_due(cancellation.effective_at - DAY) == 0


def test_cancelled_on_the_last_day_there_is_nothing_left_to_remind_of(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(
        subscription, by=owner_of(subscription), at=subscription.paid_through(NOW) - timedelta(hours=5)
    )
    assert remind_due(cancellation.effective_at - SECOND) == 0


def test_what_a_marketplace_ends_is_not_ours_to_announce(account: Account) -> None:
    subscribe(account, channel=Channel.AWS_MARKETPLACE, ends_at=NOW + 40 * DAY)
    assert remind_due(NOW + 39 * DAY) == 0


def test_the_preview_names_who_would_be_reminded(account: Account) -> None:
    subscribe(account, ends_at=NOW + 8 * DAY)
    assert list(preview(NOW)) == []
    assert list(preview(NOW + DAY)) == [f"{account.pk} Harbour: remind that it ends at 2026-03-25T09:30:00Z"]
    assert not Notice.objects.exists()


def test_the_number_of_statements_does_not_grow_with_the_reminders(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _number in range(20):
        subscribe(ends_at=NOW + 8 * DAY)
    # Find and lock, owners, notices, new dates, in a transaction; then nothing is left, and none failed before.
    with django_assert_num_queries(10):
        assert remind_due(NOW + DAY) == 20
