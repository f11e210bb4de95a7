"""What the database promises about subscriptions."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from accounts.models import Account
from subscriptions.ending.reminders import set_end
from subscriptions.models import Cancellation, Channel, Subscription
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_an_account_has_one_live_subscription(account: Account) -> None:
    subscribe(account)
    with pytest.raises(IntegrityError, match="subscription_one_live_an_account"):
        subscribe(account, at=NOW + DAY)
    assert Subscription.objects.count() == 1


def test_one_subscription_may_follow_another_without_a_gap(account: Account) -> None:
    first = subscribe(account, ends_at=NOW + DAY)
    second = subscribe(account, at=NOW + DAY)
    assert list(Subscription.objects.live(NOW)) == [first]
    assert list(Subscription.objects.live(NOW + DAY)) == [second]


def test_dates_decide_what_is_live(account: Account) -> None:
    subscription = subscribe(account, ends_at=NOW + DAY)
    second = timedelta(seconds=1)
    assert not Subscription.objects.live(NOW - second).exists()
    assert Subscription.objects.live(NOW).get() == subscription
    assert Subscription.objects.live(NOW + DAY - second).get() == subscription
    assert not Subscription.objects.live(NOW + DAY).exists()
    assert [subscription.is_live(NOW + offset) for offset in (-second, timedelta(0), DAY - second, DAY)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("subscription_channel_is_known", {"channel": "carrier_pigeon"}),
        ("subscription_interval_is_known", {"interval": 5}),
        ("subscription_ends_after_start", {"ends_at": NOW - DAY}),
        ("subscription_anchor_after_trial", {"trial_ends_at": NOW + DAY, "anchor_at": NOW + 2 * DAY}),
        ("subscription_settled_after_end", {"ends_at": NOW + DAY, "settled_at": NOW}),
        ("subscription_reminded_before_end", {"ends_at": NOW + DAY, "next_reminder_at": NOW + 2 * DAY}),
    ],
)
def test_the_database_refuses_what_makes_no_sense(account: Account, constraint: str, change: dict[str, object]) -> None:
    row = subscribe(account)
    row.pk = None
    row.account = Account.objects.create(name="Another")
    for field, value in change.items():
        setattr(row, field, value)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.parametrize("field", ["anchor_at", "channel", "account_id"])
def test_what_a_subscription_is_counted_from_never_changes(account: Account, field: str) -> None:
    subscription = subscribe(account)
    values = {
        "anchor_at": NOW + DAY,
        "channel": Channel.DATADOG_SALES,
        "account_id": Account.objects.create(name="Another").pk,
    }
    with pytest.raises(ProgrammingError, match="Cannot update rows"), transaction.atomic():
        Subscription.objects.filter(pk=subscription.pk).update(**{field: values[field]})


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("cancellation_withdrawn_or_carried_out", {"withdrawn_at": NOW, "carried_out_at": NOW + DAY}),
        ("cancellation_takes_effect_later", {"requested_at": NOW + 2 * DAY}),
        ("cancellation_withdrawn_in_time", {"withdrawn_at": NOW + DAY}),
        ("cancellation_carried_out_when_due", {"carried_out_at": NOW}),
        ("cancellation_reason_is_known", {"reason": "because"}),
    ],
)
def test_the_database_refuses_an_impossible_cancellation(
    account: Account, constraint: str, change: dict[str, object]
) -> None:
    row: dict[str, object] = {
        "subscription": subscribe(account),
        "requested_at": NOW,
        "effective_at": NOW + DAY,
        **change,
    }
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Cancellation.objects.create(**row)


def test_a_subscription_has_one_open_cancellation(account: Account) -> None:
    subscription = subscribe(account)
    Cancellation.objects.create(subscription=subscription, requested_at=NOW, effective_at=NOW + DAY)
    with pytest.raises(IntegrityError, match="cancellation_one_open"), transaction.atomic():
        Cancellation.objects.create(subscription=subscription, requested_at=NOW, effective_at=NOW + DAY)


def test_money_can_be_had_back_for_thirty_days_to_the_second(account: Account) -> None:
    subscription = subscribe(account)
    second = timedelta(seconds=1)
    assert subscription.money_back_open(NOW)
    assert subscription.money_back_open(NOW + timedelta(days=30) - second)
    assert not subscription.money_back_open(NOW + timedelta(days=30))


def test_the_thirty_days_of_a_trial_begin_with_the_first_payment(account: Account) -> None:
    subscription = subscribe(account, trial_ends_at=NOW + 14 * DAY)
    assert not subscription.money_back_open(NOW + 13 * DAY)
    assert subscription.money_back_open(NOW + 14 * DAY)
    assert subscription.money_back_open(NOW + 43 * DAY)


@pytest.mark.parametrize(
    ("ends_at", "reminder"),
    [
        (NOW + 20 * DAY, NOW + 13 * DAY),
        (NOW + 5 * DAY, NOW + 4 * DAY),
        (NOW + timedelta(hours=3), None),
        (None, None),
    ],
)
def test_setting_an_end_sets_the_next_reminder_that_is_still_ahead(
    account: Account, ends_at: datetime | None, reminder: datetime | None
) -> None:
    subscription = subscribe(account)
    set_end(subscription, ends_at, at=NOW)
    subscription.refresh_from_db()
    assert (subscription.ends_at, subscription.next_reminder_at) == (ends_at, reminder)
