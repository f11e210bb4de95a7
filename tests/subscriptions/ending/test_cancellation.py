"""Cancelling, keeping, and cancelling again."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError

from accounts.models import Account, Event, Notice, User
from subscriptions.ending.cancellation import AlreadyEnded, CannotCancelHere, cancel, withdraw
from subscriptions.ending.settling import settle_due
from subscriptions.models import Cancellation, Channel
from tests.factories import NOW, BlueprintFactory, ConnectionFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def test_a_cancellation_takes_effect_at_the_end_of_the_current_cycle(account: Account) -> None:
    subscription = subscribe(account, at=datetime(2026, 1, 31, 12, tzinfo=UTC))
    cancellation, new = cancel(subscription, by=owner_of(subscription), at=datetime(2026, 2, 10, tzinfo=UTC))
    subscription.refresh_from_db()
    assert new
    assert cancellation.effective_at == subscription.ends_at == datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert cancellation.reference.startswith("CAN-")


def test_a_cancelled_trial_ends_with_the_trial_and_never_at_once(account: Account) -> None:
    subscription = subscribe(account, trial_ends_at=NOW + 14 * DAY)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    assert cancellation.effective_at == NOW + 14 * DAY


def test_a_trial_cancelled_after_it_became_paid_ends_with_the_paid_cycle(account: Account) -> None:
    subscription = subscribe(account, trial_ends_at=NOW + 14 * DAY)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + 14 * DAY)
    assert cancellation.effective_at == datetime(2026, 4, 30, 9, 30, tzinfo=UTC)


def test_it_is_told_in_history_and_by_mail_with_the_accounts_own_numbers(account: Account, owner: User) -> None:
    BlueprintFactory.create_batch(2, account=account, grid="infinite")
    ConnectionFactory.create_batch(3, account=account, provider="azure")
    subscription = subscribe(account)
    cancellation, _new = cancel(
        subscription, by=owner_of(subscription), at=NOW + DAY, reason="unused", comment="secret words"
    )
    event = Event.objects.get(kind="cancellation.requested")
    assert (event.account_id, event.at, event.actor_kind, event.actor_id) == (
        account.pk,
        NOW + DAY,
        "owner",
        owner.pk,
    )
    assert "secret words" not in str(event.facts)
    notice = Notice.objects.get()
    assert notice.recipient == owner
    assert notice.facts == {
        "reference": cancellation.reference,
        "plan": "Pro",
        "requested_at": "2026-03-18T09:30:00+00:00",
        "effective_at": "2026-04-17T09:30:00+00:00",
        "renews_at": "2026-04-17T09:30:00+00:00",
        "losses": [
            {"code": "infinite_blueprints", "count": 2},
            {"code": "live", "count": None},
            {"code": "azure_connections", "count": 3},
            {"code": "bits_menu", "count": None},
        ],
    }


def test_a_second_cancellation_changes_nothing(account: Account) -> None:
    subscription = subscribe(account)
    first, _new = cancel(subscription, by=owner_of(subscription), at=NOW, reason="unused")
    second, new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY, reason="other", comment="again")
    assert (second, new) == (first, False)
    assert Cancellation.objects.get().reason == "unused"
    assert Event.objects.filter(kind="cancellation.requested").count() == 1
    assert Notice.objects.count() == 1


def test_cancel_keep_cancel_leaves_the_whole_story(account: Account) -> None:
    subscription = subscribe(account)
    owner = owner_of(subscription)
    first, _new = cancel(subscription, by=owner, at=NOW + DAY)
    assert withdraw(first, by=owner, at=NOW + 2 * DAY)
    second, new = cancel(subscription, by=owner, at=NOW + 3 * DAY)
    assert new
    assert second.reference != first.reference
    assert [event.kind for event in account.events.story()] == [
        "cancellation.requested",
        "cancellation.withdrawn",
        "cancellation.requested",
        "subscription.started",
    ]
    assert Notice.objects.count() == 3


def test_a_kept_subscription_renews_as_before(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    withdraw(cancellation, by=owner_of(subscription), at=NOW + 2 * DAY)
    subscription.refresh_from_db()
    assert subscription.ends_at is None
    assert subscription.next_reminder_at is None
    assert subscription.is_live(NOW + 400 * DAY)


def test_keeping_twice_changes_nothing(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    assert withdraw(cancellation, by=owner_of(subscription), at=NOW + 2 * DAY)
    assert not withdraw(cancellation, by=owner_of(subscription), at=NOW + 3 * DAY)
    assert Event.objects.filter(kind="cancellation.withdrawn").count() == 1


def test_it_can_be_kept_until_the_very_instant_of_its_end(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    assert withdraw(cancellation, by=owner_of(subscription), at=cancellation.effective_at - SECOND)


def test_it_cannot_be_kept_from_that_instant_on(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    with pytest.raises(AlreadyEnded):
        withdraw(cancellation, by=owner_of(subscription), at=cancellation.effective_at)
    cancellation.refresh_from_db()
    assert cancellation.withdrawn_at is None
    assert not Event.objects.filter(kind="cancellation.withdrawn").exists()


def test_it_cannot_be_kept_once_settled(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    settle_due(cancellation.effective_at)
    with pytest.raises(AlreadyEnded):
        withdraw(cancellation, by=owner_of(subscription), at=cancellation.effective_at - SECOND)


def test_what_has_ended_cannot_be_cancelled(account: Account) -> None:
    subscription = subscribe(account, ends_at=NOW + DAY)
    with pytest.raises(AlreadyEnded):
        cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    assert not Cancellation.objects.exists()


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel != Channel.DIRECT])
def test_what_was_bought_elsewhere_is_not_cancelled_here(account: Account, channel: Channel) -> None:
    subscription = subscribe(account, channel=channel)
    with pytest.raises(CannotCancelHere):
        cancel(subscription, by=owner_of(subscription), at=NOW)
    assert not Cancellation.objects.exists()
    assert not Notice.objects.exists()


def test_nothing_is_half_done_when_the_comment_does_not_fit_the_database(account: Account) -> None:
    subscription = subscribe(account)
    with pytest.raises(IntegrityError):
        cancel(subscription, by=owner_of(subscription), at=NOW, reason="because")
    subscription.refresh_from_db()
    assert subscription.ends_at is None
    assert not Event.objects.filter(kind="cancellation.requested").exists()
