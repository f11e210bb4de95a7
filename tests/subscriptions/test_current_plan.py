"""May this account do X at t? Dates decide, whether or not any job has run."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.customers.entitlements import NotEntitled, entitlements_of, require
from accounts.models import Account
from subscriptions.current_plan import standing_of
from subscriptions.ending.cancellation import cancel
from tests.factories import NOW, owner_of, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def test_without_a_subscription_an_account_is_on_free(account: Account) -> None:
    entitlements = entitlements_of(account, NOW)
    assert (entitlements.plan, entitlements.features) == ("free", frozenset())
    assert (entitlements.since, entitlements.until) == (account.created_at, None)


def test_a_subscription_grants_what_its_plan_grants(account: Account) -> None:
    subscribe(account)
    entitlements = entitlements_of(account, NOW + DAY)
    assert entitlements.plan == "pro"
    assert entitlements.features == frozenset({"infinite_grid", "live", "cloud_updates", "bits_menu"})
    assert (entitlements.since, entitlements.until) == (NOW, None)


def test_access_ends_with_the_cycle_though_no_job_has_run(account: Account) -> None:
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    end = cancellation.effective_at
    assert entitlements_of(account, end - SECOND).until == end
    require("live", account, end - SECOND)
    with pytest.raises(NotEntitled) as refusal:
        require("live", account, end)
    assert refusal.value.entitlements.since == end
    assert refusal.value.entitlements.plan == "free"


def test_free_lasts_until_a_subscription_that_was_bought_ahead_begins(account: Account) -> None:
    subscribe(account, at=NOW + 10 * DAY)
    assert entitlements_of(account, NOW).until == NOW + 10 * DAY
    assert entitlements_of(account, NOW + 10 * DAY).plan == "pro"


def test_a_standing_takes_the_same_statements_however_long_its_history(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        subscribe(account, at=NOW + number * DAY, ends_at=NOW + number * DAY + timedelta(hours=1))
    subscribe(account, at=NOW + 40 * DAY)
    with django_assert_num_queries(2):
        standing = standing_of(account, NOW + 41 * DAY)
    assert standing.subscription is not None
    assert standing.last is not None
    assert standing.last.started_at == NOW + 29 * DAY
