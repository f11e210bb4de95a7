"""What is wanted of whoever charges: written with the transition, asked for later, agreed by the answer alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from accounts.customers.history import Actor
from accounts.jobs.invariants import Violation
from accounts.models import Account, Event, Notice
from subscriptions.billing.agreeing import INVARIANTS, agree_due
from subscriptions.billing.provider import Agreement, WishRequest
from subscriptions.billing.wish import Cause, Outcome, Wish, want_end
from subscriptions.changes import call_off, end_now
from subscriptions.ending.account_deletion import resume_renewal, stop_renewal
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.ending.ending_elsewhere import EndReason, end_elsewhere
from subscriptions.models import Channel, Subscription
from tests.factories import NOW, AccountFactory, owner_of, subscribe
from tests.subscriptions.billing.provider_for_tests import Bank, a_bank

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: The end of the first cycle of what `subscribe` starts.
END = datetime(2026, 4, 17, 9, 30, tzinfo=UTC)


@pytest.fixture
def bank() -> Iterator[Bank]:
    with a_bank() as bank:
        yield bank


def held(account: Account, **more: Any) -> Subscription:
    """A subscription that the bank holds, in the period that arithmetic would give it."""
    subscription = subscribe(account, **more)
    cycle = subscription.cycle(NOW)
    Subscription.objects.filter(pk=subscription.pk).update(
        held_by="bank", period_started_at=cycle.start, period_ends_at=cycle.end
    )
    subscription.refresh_from_db()
    return subscription


def red(at: datetime) -> list[str]:
    found: list[Violation] = [violation for each in INVARIANTS if (violation := each.check(at))]
    return [violation.name for violation in found]


def test_cancelling_wishes_the_end_of_the_paid_cycle_and_asks_nobody(account: Account, bank: Bank) -> None:
    subscription = held(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY, reason="unused", comment="secret")
    wish = Wish.objects.get()
    assert (wish.want, wish.wanted_end_at, wish.at_once, wish.cause, wish.feedback, wish.version) == (
        ("end", END, False, "owner", "unused", 1)
    )
    assert (wish.deadline_at, wish.wished_at, wish.agreed_at, wish.next_attempt_at) == (END, NOW + DAY, None, NOW + DAY)
    assert bank.asked == []


def test_a_wish_is_gone_if_its_transition_is(account: Account) -> None:
    subscription = subscribe(account)
    with transaction.atomic():
        cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
        transaction.set_rollback(True)
    assert not Wish.objects.exists()


def test_it_is_agreed_by_the_answer_and_the_history_says_so(account: Account, bank: Bank) -> None:
    subscription = held(account)
    cancelled, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    assert agree_due(NOW + DAY) == 1
    wish = Wish.objects.get()
    assert (wish.agreed_at, wish.outcome, wish.sent_version, wish.last_error) == (NOW + DAY, "agreed", 1, "")
    (asked,) = bank.asked
    assert (asked.want, asked.wanted_end_at, asked.version, asked.cancellation_reference) == (
        ("end", END, 1, cancelled.reference)
    )
    assert Event.objects.filter(kind="billing.stopped").count() == 1
    assert agree_due(NOW + 2 * DAY) == 0
    assert len(bank.asked) == 1


def test_keeping_what_nobody_heard_of_asks_nobody(account: Account, bank: Bank) -> None:
    subscription = held(account)
    cancelled, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    withdraw(cancelled, by=owner_of(subscription), at=NOW + DAY + HOUR)
    wish = Wish.objects.get()
    assert (wish.want, wish.wanted_end_at, wish.version, wish.outcome) == ("go_on", None, 2, "agreed")
    assert agree_due(NOW + 2 * DAY) == 0
    assert bank.asked == []


def test_cancel_keep_cancel_is_three_versions_and_only_the_newest_is_asked_for(account: Account, bank: Bank) -> None:
    subscription = held(account)
    by = owner_of(subscription)
    first, _new = cancel(subscription, by=by, at=NOW + DAY)
    agree_due(NOW + DAY)
    withdraw(first, by=by, at=NOW + 2 * DAY)
    cancel(subscription, by=by, at=NOW + 3 * DAY)
    agree_due(NOW + 3 * DAY)
    assert [(asked.want, asked.version) for asked in bank.asked] == [("end", 1), ("end", 3)]


def test_an_answer_to_an_older_wish_changes_nothing(account: Account, bank: Bank) -> None:
    """The owner keeps it while the provider is being asked: what it answers is of a wish that is none any more."""
    subscription = held(account)
    by = owner_of(subscription)
    cancelled, _new = cancel(subscription, by=by, at=NOW + DAY)

    def meanwhile(request: WishRequest) -> Agreement:
        if request.want == "end":
            withdraw(cancelled, by=by, at=NOW + DAY)
        return Agreement(Outcome.AGREED)

    bank.answer = meanwhile
    assert agree_due(NOW + DAY) == 1
    assert [asked.want for asked in bank.asked] == ["end", "go_on"]
    wish = Wish.objects.get()
    assert (wish.want, wish.version, wish.outcome) == ("go_on", 2, "agreed")


def test_what_is_not_asked_for_by_the_provider_is_put_off_and_asked_again(account: Account, bank: Bank) -> None:
    subscription = held(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    bank.answer = lambda request: 1 / 0  # type: ignore[assignment,return-value]  # it raises
    assert agree_due(NOW + DAY) == 0
    wish = Wish.objects.get()
    assert (wish.attempts, wish.agreed_at, wish.sent_version) == (1, None, 1)
    assert "ZeroDivisionError" in wish.last_error
    bank.answer = lambda request: Agreement(Outcome.ROLLED_OVER, again_at=NOW + 2 * DAY)
    assert agree_due(NOW + DAY + HOUR) == 0
    wish.refresh_from_db()
    assert (wish.outcome, wish.agreed_at, wish.next_attempt_at) == ("rolled_over", None, NOW + 2 * DAY)
    bank.answer = lambda request: Agreement(Outcome.AGREED)
    assert agree_due(NOW + 2 * DAY) == 1


def test_an_open_wish_is_red_two_hours_before_the_charge_and_once_it_is_an_hour_old(
    account: Account, bank: Bank
) -> None:
    subscription = held(account)
    cancel(subscription, by=owner_of(subscription), at=END - 150 * timedelta(minutes=1))
    assert red(END - 2 * HOUR - timedelta(minutes=1)) == []
    assert red(END - 2 * HOUR + timedelta(seconds=1)) == ["wish-late"]
    assert red(END - HOUR) == ["wish-late", "wish-overdue"]
    agree_due(END - HOUR)
    assert red(END + DAY) == []


def test_where_staff_stop_the_charge_it_is_a_task_and_red_three_days_before_the_charge(account: Account) -> None:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    assert agree_due(NOW + DAY) == 0
    wish = Wish.objects.get()
    assert (wish.outcome, wish.sent_version, wish.attempts) == ("waiting", 0, 0)
    assert red(END - 3 * DAY - HOUR) == ["wish-by-hand"]
    assert red(END - 3 * DAY + HOUR) == ["wish-late", "wish-by-hand"]


@pytest.mark.parametrize("channel", [Channel.DATADOG_SALES, Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE])
def test_who_charges_for_themselves_is_asked_nothing(account: Account, channel: Channel) -> None:
    end_now(subscribe(account, channel=channel), by=Actor.system(), at=NOW + DAY)
    assert not Wish.objects.exists()


def test_what_costs_nothing_needs_no_wish(account: Account) -> None:
    subscription = subscribe(account, cents=0)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    assert not Wish.objects.exists()


def test_ending_at_once_wishes_that_and_an_earlier_cancellation_changes_nothing_of_it(
    account: Account, bank: Bank
) -> None:
    subscription = held(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    end_now(subscription, by=Actor.system(), at=NOW + 2 * DAY)
    wish = Wish.objects.get()
    assert (wish.at_once, wish.wanted_end_at, wish.deadline_at, wish.version) == (True, NOW + 2 * DAY, END, 2)
    assert agree_due(NOW + 2 * DAY) == 1
    assert [(asked.at_once, asked.version) for asked in bank.asked] == [(True, 2)]


def test_ending_at_once_what_staff_have_stopped_already_is_no_second_task(account: Account) -> None:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    Wish.objects.update(agreed_at=NOW + DAY, outcome=Outcome.AGREED, sent_version=1)
    end_now(subscription, by=Actor.system(), at=NOW + 2 * DAY)
    wish = Wish.objects.get()
    assert (wish.at_once, wish.version, wish.agreed_at) == (True, 2, NOW + 2 * DAY)


def test_what_billing_itself_has_ended_is_not_wished_and_answers_what_was(account: Account) -> None:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    end_elsewhere(subscription, ends_at=NOW + 5 * DAY, reason=EndReason.UNPAID, by=Actor.system(), at=NOW + 2 * DAY)
    wish = Wish.objects.get()
    assert (wish.want, wish.version, wish.outcome, wish.agreed_at) == ("end", 1, "agreed", NOW + 2 * DAY)


def test_what_is_called_off_before_it_begins_is_stopped_before_its_first_charge(account: Account) -> None:
    subscription = subscribe(account, starts_at=NOW + 9 * DAY)
    assert call_off(subscription, at=NOW + DAY, by=Actor.system())
    wish = Wish.objects.get()
    assert (wish.want, wish.at_once, wish.deadline_at) == ("end", True, NOW + 9 * DAY)


def test_a_deletion_stops_the_renewal_and_called_off_lets_it_go_on(account: Account, bank: Bank) -> None:
    subscription = held(account)
    stop_renewal(account, NOW + DAY, Actor.system())
    agree_due(NOW + DAY)
    resume_renewal(account, NOW + 2 * DAY, Actor.system())
    agree_due(NOW + 2 * DAY)
    assert [(asked.want, asked.cause) for asked in bank.asked] == [("end", "deletion"), ("go_on", "deletion")]
    subscription.refresh_from_db()
    assert subscription.ends_at is None


def test_what_had_ended_there_cannot_be_kept_and_its_owner_is_told_once(account: Account, bank: Bank) -> None:
    subscription = held(account)
    by = owner_of(subscription)
    cancelled, _new = cancel(subscription, by=by, at=NOW + DAY)
    agree_due(NOW + DAY)
    withdraw(cancelled, by=by, at=NOW + 2 * DAY)
    bank.answer = lambda request: Agreement(Outcome.ENDED, ends_at=NOW + DAY + HOUR)
    assert agree_due(NOW + 2 * DAY) == 1
    subscription.refresh_from_db()
    assert (subscription.ends_at, subscription.settled_at) == (NOW + DAY + HOUR, NOW + 2 * DAY)
    assert Notice.objects.filter(kind="subscriptions/subscription_ended").count() == 1


def test_an_end_that_is_paid_for_later_than_promised_moves_and_is_told_once(account: Account, bank: Bank) -> None:
    subscription = held(account)
    cancelled, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    bank.answer = lambda request: Agreement(Outcome.AGREED, ends_at=END + 3 * DAY)
    agree_due(NOW + DAY)
    subscription.refresh_from_db()
    cancelled.refresh_from_db()
    assert subscription.ends_at == cancelled.effective_at == END + 3 * DAY
    assert Notice.objects.get(kind="subscriptions/end_moved").facts["ends_at"] == (END + 3 * DAY).isoformat()


def test_an_end_never_moves_before_what_the_owner_was_told(account: Account, bank: Bank) -> None:
    subscription = held(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    bank.answer = lambda request: Agreement(Outcome.AGREED, ends_at=END - DAY)
    agree_due(NOW + DAY)
    subscription.refresh_from_db()
    assert subscription.ends_at == END


def test_the_same_wish_again_is_the_one_that_stands(account: Account) -> None:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    with transaction.atomic():
        again = want_end(subscription, END, cause=Cause.OWNER, at=NOW + 2 * DAY)
    assert again is not None
    assert again.version == 1


def test_a_wish_that_fails_harms_nobody_says_why_and_is_named_by_doctor(account: Account, bank: Bank) -> None:
    bad, good = held(account), held(AccountFactory())
    for subscription in (bad, good):
        cancel(subscription, by=owner_of(subscription), at=NOW + DAY)

    def answer(request: WishRequest) -> Agreement:
        if request.subscription_id == bad.pk:
            raise ConnectionError("no route to the bank")
        return Agreement(Outcome.AGREED)

    bank.answer = answer
    assert agree_due(NOW + DAY) == 1
    assert agree_due(NOW + DAY + HOUR) == 0
    failed = Wish.objects.get(agreed_at=None)
    assert (failed.pk, failed.attempts, failed.last_error) == (bad.pk, 2, "ConnectionError: no route to the bank")
    assert [violation.examples for each in INVARIANTS if (violation := each.check(NOW + 2 * DAY))] == [[str(bad.pk)]]
