"""Billing records outlive their account for ten years, and not longer."""

from datetime import datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta

from accounts.jobs.invariants import violations
from accounts.models import Account, Event
from subscriptions import billing_record
from subscriptions.billing_record import OVERDUE, BillingRecord, preview, remove_over
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, AccountFactory, subscribe

pytestmark = pytest.mark.django_db
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
#: Counted from the instant at which the purge began, which is a moment after that at which it was due.
TERM = NOW + relativedelta(years=10)
OVER = TERM + timedelta(minutes=1)


def erased(subscriptions: int = 1, at: datetime = NOW) -> Account:
    """An account with so many subscriptions, erased."""
    account: Account = AccountFactory()
    for number in range(subscriptions):
        subscribe(account, at=NOW - (number + 1) * DAY, ends_at=NOW - number * DAY)
    erase_all(account, at)
    return account


def removals() -> dict[object, dict[str, object]]:
    return dict(Event.objects.filter(kind="billing.removed").values_list("account_id", "facts"))


def test_a_record_goes_when_its_ten_years_are_over_and_the_history_says_so() -> None:
    account = erased(subscriptions=2)
    later = erased(at=NOW + DAY)
    assert remove_over(TERM - SECOND) == 0
    assert BillingRecord.objects.count() == 3
    assert list(preview(TERM - SECOND)) == []
    assert len(list(preview(OVER))) == 2

    assert remove_over(OVER) == 2

    assert remove_over(OVER) == 0
    assert BillingRecord.objects.get().account_id == later.pk
    assert removals() == {account.pk: {"records": 2}}
    event = Event.objects.get(kind="billing.removed")
    assert (event.at, event.actor_kind, event.actor_id) == (OVER, "system", None)


def test_missed_runs_are_made_up_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing_record, "BATCH", 2)
    accounts = [erased() for _number in range(5)]
    assert remove_over(OVER + 400 * DAY) == 5
    assert not BillingRecord.objects.exists()
    assert removals() == {account.pk: {"records": 1} for account in accounts}


def test_a_record_kept_for_too_long_is_shown_to_staff() -> None:
    account = erased()

    def told(at: datetime) -> list[list[str]]:
        return [list(v.examples) for v in violations(at) if v.name == "billing-records-over"]

    assert told(TERM + OVERDUE - SECOND) == []
    assert told(OVER + OVERDUE) == [[str(account.pk)]]
    remove_over(OVER + OVERDUE)
    assert told(OVER + OVERDUE) == []
