"""Cancellations that were open before there were wishes become wishes: the migration's statement, with rows."""

from datetime import datetime, timedelta
from importlib import import_module

import pytest
from django.db import connection

from accounts.core import clock
from accounts.customers.history import Actor
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import Reason, cancel, withdraw
from subscriptions.models import Cancellation, Subscription
from tests.factories import AccountFactory, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def migrate() -> None:
    """What 0021 does to a database in which nobody has wished anything."""
    Wish.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("subscriptions.migrations.0021_wishes_of_before").WISHES)


def cancelled(at: datetime, reason: str = "", **changes: object) -> Subscription:
    """One whose owner has cancelled at `at`, ten days after it began."""
    account = AccountFactory()
    subscription = subscribe(account, at=at - 10 * DAY, **changes)
    owner = account.owner()
    assert owner is not None
    cancel(subscription, by=Actor.owner(owner), at=at, reason=reason)
    subscription.refresh_from_db()
    return subscription


def test_an_open_cancellation_becomes_a_wish_that_is_due_at_once_for_the_end_that_was_promised() -> None:
    now = clock.now()
    asked, deleted = cancelled(now - DAY, Reason.UNUSED), cancelled(now - 2 * DAY, Reason.DELETION)
    migrate()
    wishes = {wish.subscription_id: wish for wish in Wish.objects.all()}
    assert set(wishes) == {asked.pk, deleted.pk}
    for subscription, cause, feedback in ((asked, "owner", "unused"), (deleted, "deletion", "deletion")):
        wish, cancellation = wishes[subscription.pk], Cancellation.objects.get(subscription=subscription)
        assert (wish.want, wish.at_once, wish.cause, wish.feedback) == ("end", False, cause, feedback)
        assert wish.wanted_end_at == wish.deadline_at == cancellation.effective_at == subscription.ends_at
        assert wish.wished_at == wish.next_attempt_at == cancellation.requested_at
        assert (wish.version, wish.sent_version, wish.agreed_at, wish.attempts) == (1, 0, None, 0)
    assert Wish.objects.due(now).count() == 2


def test_what_nobody_charges_for_any_more_becomes_none() -> None:
    now = clock.now()
    over, kept = cancelled(now - 40 * DAY), cancelled(now - DAY)
    withdraw(kept.cancellations.get(), by=Actor.system(), at=now)
    Subscription.objects.filter(pk=over.pk).update(settled_at=now)
    cancelled(now - DAY, cents=0)
    told = cancelled(now - DAY)
    Subscription.objects.filter(pk=told.pk).update(billed_until=told.ends_at)
    subscribe(at=now - DAY, channel="datadog_sales", ends_at=now + 300 * DAY)
    subscribe(at=now - DAY)
    migrate()
    assert not Wish.objects.exists()


def test_again_changes_nothing() -> None:
    cancelled(clock.now() - DAY)
    migrate()
    Wish.objects.update(version=3)
    with connection.cursor() as cursor:
        cursor.execute(import_module("subscriptions.migrations.0021_wishes_of_before").WISHES)
    assert Wish.objects.get().version == 3
