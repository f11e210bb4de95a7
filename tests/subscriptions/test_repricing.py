"""A new price for existing subscriptions: from a later cycle of theirs, with notice, and never for who leaves."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from accounts.customers.history import Actor
from accounts.mail import sending
from accounts.models import Account, Event, Notice, User
from subscriptions import billing_record, catalogue, changes
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import BillingRecord, Channel, Interval, Plan, Price, Repricing, Subscription
from subscriptions.pricing.repricing import first_cycle, paid_so_far, price_at, reprice_due
from tests.factories import NOW, AccountFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
#: Subscriptions of these tests begin at `NOW`, 17 March 2026, 09:30.
APRIL, MAY, JUNE, JULY = (datetime(2026, month, 17, 9, 30, tzinfo=UTC) for month in (4, 5, 6, 7))


def decide(
    cents: int = 5900, *, from_at: datetime = APRIL + 3 * DAY, at: datetime = NOW + DAY, days: int = 30
) -> Price:
    """By default: from 20 April on, so from the cycle of May; owners are told on 17 April."""
    price, _new = catalogue.set_price(
        Plan.objects.get(code="pro"),
        interval=Interval.MONTHLY,
        currency="USD",
        cents=cents,
        from_at=from_at,
        notice=timedelta(days=days),
        at=at,
    )
    return price


def rows(subscription: Subscription) -> list[tuple[datetime, bool, bool, bool]]:
    """From when, and whether it was told, carried out, dropped."""
    return [
        (row.from_at, row.told_at is not None, row.carried_out_at is not None, row.dropped_at is not None)
        for row in Repricing.objects.filter(subscription=subscription).order_by("id")
    ]


def mails(kind: str) -> int:
    return Notice.objects.filter(kind=f"subscriptions/{kind}").count()


def test_the_owner_is_told_in_time_and_pays_from_the_next_cycle(account: Account) -> None:
    held = subscribe(account)
    decide()
    told_at = MAY - 30 * DAY
    reprice_due(NOW + 2 * DAY)
    assert rows(held) == [(MAY, False, False, False)]
    reprice_due(told_at - SECOND)
    assert mails("price_changes") == 0
    reprice_due(told_at)
    reprice_due(told_at)
    assert (rows(held), mails("price_changes")) == ([(MAY, True, False, False)], 1)
    sending.send_due(told_at)
    (sent,) = mail.outbox
    assert sent.subject == "The price of your Pro subscription changes on May 17, 2026"
    assert "costs $59.00 a month instead of $49.00" in sent.body
    # Dates decide, whether the sweep comes or not.
    assert (price_at(held, MAY - SECOND), price_at(held, MAY)) == (4900, 5900)
    reprice_due(MAY + 5 * DAY)
    held.refresh_from_db()
    assert (held.cents, rows(held)) == (5900, [(MAY, True, True, False)])
    told = Event.objects.filter(account=account, kind__startswith="price.").order_by("at")
    assert list(told.values_list("kind", "at")) == [
        ("price.announced", told_at),
        ("price.changed", MAY),
    ]


def test_what_was_paid_is_counted_at_the_price_of_each_cycle(account: Account) -> None:
    held = subscribe(account, seats=2)
    decide()
    reprice_due(MAY - 30 * DAY)
    for carried_out in (False, True):
        if carried_out:
            reprice_due(MAY)
            held.refresh_from_db()
        assert paid_so_far(held, NOW) == 2 * 4900
        assert paid_so_far(held, MAY - SECOND) == 2 * 2 * 4900
        assert paid_so_far(held, MAY) == 2 * (2 * 4900 + 5900)
        assert paid_so_far(held, JUNE) == 2 * (2 * 4900 + 2 * 5900)
    decide(6900, from_at=MAY + 9 * DAY, at=MAY)
    # Told on 18 May, 30 days before the cycle of June.
    reprice_due(MAY + DAY)
    assert paid_so_far(held, JULY) == 2 * (2 * 4900 + 5900 + 2 * 6900)
    # What was paid by an earlier instant is what it was.
    assert paid_so_far(held, MAY) == 2 * (2 * 4900 + 5900)


def test_a_year_pays_when_its_next_year_begins() -> None:
    held = subscribe(interval=Interval.ANNUAL)
    catalogue.set_price(
        Plan.objects.get(code="pro"),
        interval=Interval.ANNUAL,
        currency="USD",
        cents=59000,
        notice=60 * DAY,
        at=NOW + DAY,
    )
    reprice_due(NOW + DAY)
    (row,) = Repricing.objects.filter(subscription=held)
    assert (row.from_at, row.notice_at) == (datetime(2027, 3, 17, 9, 30, tzinfo=UTC), row.from_at - 60 * DAY)


def test_notice_moves_the_first_cycle_never_shortens(account: Account) -> None:
    held = subscribe(account)
    # Decided on the day before a cycle: that one is too near.
    decide(from_at=APRIL - DAY, at=APRIL - DAY, days=30)
    reprice_due(APRIL - DAY)
    assert rows(held) == [(MAY, False, False, False)]
    # Nobody swept for weeks: a later cycle, and the full notice all the same.
    reprice_due(MAY - 3 * DAY)
    (row,) = Repricing.objects.filter(subscription=held)
    assert (row.from_at, row.told_at) == (JUNE, MAY - 3 * DAY)


def test_the_first_payment_costs_what_was_said_at_the_trial() -> None:
    trial = subscribe(trial_ends_at=NOW + 60 * DAY)
    decide(from_at=NOW + 2 * DAY)
    reprice_due(NOW + 2 * DAY)
    (row,) = Repricing.objects.filter(subscription=trial)
    assert row.from_at == first_cycle(trial, NOW) > trial.anchor_at
    assert (price_at(trial, trial.anchor_at), paid_so_far(trial, trial.anchor_at)) == (4900, 4900)


def test_who_leaves_is_not_repriced_and_who_stays_after_all_is_with_notice(account: Account) -> None:
    leaving = subscribe(account)
    found, _new = cancel(leaving, by=owner_of(leaving), at=NOW + DAY)
    decide()
    reprice_due(NOW + 2 * DAY)
    assert rows(leaving) == []
    withdraw(found, by=owner_of(leaving), at=APRIL - SECOND)
    reprice_due(APRIL - SECOND)
    # 30 days before the cycle of May have not passed yet: the owner is told a second later.
    assert rows(leaving) == [(MAY, False, False, False)]
    reprice_due(APRIL)
    assert rows(leaving) == [(MAY, True, False, False)]


def test_who_cancels_after_being_told_never_pays_it(account: Account) -> None:
    held = subscribe(account)
    decide()
    reprice_due(MAY - 30 * DAY)
    cancel(held, by=owner_of(held), at=MAY - DAY)
    held.refresh_from_db()
    assert (held.ends_at, price_at(held, MAY - SECOND), price_at(held, MAY)) == (MAY, 4900, 4900)
    reprice_due(MAY)
    held.refresh_from_db()
    assert (held.cents, rows(held)) == (4900, [(MAY, True, False, True)])
    assert paid_so_far(held, JUNE) == 2 * 4900


def test_who_cancels_before_being_told_hears_nothing_of_it(account: Account) -> None:
    held = subscribe(account)
    decide(from_at=MAY + DAY)
    reprice_due(NOW + 2 * DAY)
    cancel(held, by=owner_of(held), at=MAY - 2 * DAY)
    reprice_due(MAY - SECOND)
    reprice_due(JULY)
    assert (rows(held), mails("price_changes")) == ([(JUNE, False, False, True)], 0)


def test_what_others_bill_and_what_was_agreed_singly_stays(account: Account) -> None:
    others = [
        subscribe(channel=Channel.DATADOG_SALES, ends_at=NOW + 400 * DAY),
        subscribe(channel=Channel.GITHUB_MARKETPLACE),
        subscribe(cents=4444),
        subscribe(currency="EUR", cents=4900),
        subscribe(interval=Interval.ANNUAL, cents=4900),
        subscribe(plan="enterprise", cents=4900),
    ]
    # A contract ahead: the direct subscription ends when it begins.
    before_contract = subscribe(account, ends_at=JUNE)
    subscribe(account, at=NOW, starts_at=JUNE, channel=Channel.DATADOG_SALES, ends_at=JULY, plan="enterprise", cents=1)
    decide()
    for at in (NOW + 2 * DAY, APRIL, MAY, JUNE, JULY):
        reprice_due(at)
    assert not Repricing.objects.exists()
    for subscription in [*others, before_contract]:
        assert price_at(subscription, JULY) == subscription.cents


def test_a_price_called_off_comes_to_nobody_and_who_was_told_is_told_so(account: Account) -> None:
    told, untold = subscribe(account), subscribe(at=NOW - 15 * DAY)
    price = decide(from_at=APRIL + 20 * DAY, days=14)
    reprice_due(NOW + 2 * DAY)
    # 2 May begins the other one's cycle only in June: it is not told yet.
    told_at = Repricing.objects.get(subscription=told).notice_at
    reprice_due(told_at)
    called_off_at = APRIL + 20 * DAY - SECOND
    assert told_at < called_off_at
    catalogue.call_off(price, at=called_off_at)
    assert price_at(told, JULY) == 4900
    reprice_due(called_off_at)
    reprice_due(JULY)
    assert [row[1:] for row in rows(told)] == [(True, False, True)]
    assert [row[1:] for row in rows(untold)] == [(False, False, True)]
    assert (mails("price_changes"), mails("price_stays")) == (1, 1)
    told.refresh_from_db()
    assert told.cents == 4900


def test_a_later_decision_overtakes_what_nobody_was_told_of(account: Account) -> None:
    held = subscribe(account)
    decide(from_at=MAY + DAY)
    reprice_due(NOW + 2 * DAY)
    assert rows(held) == [(JUNE, False, False, False)]
    first = Price.objects.get(cents=5900)
    catalogue.call_off(first, at=NOW + 3 * DAY)
    decide(6900, from_at=MAY + DAY, at=NOW + 3 * DAY)
    reprice_due(NOW + 3 * DAY)
    reprice_due(NOW + 3 * DAY)
    assert rows(held) == [(JUNE, False, False, True), (JUNE, False, False, False)]
    assert Repricing.objects.open().get().cents == 6900


def test_another_plan_meanwhile_is_another_price(account: Account) -> None:
    held = subscribe(account)
    decide()
    reprice_due(MAY - 30 * DAY)
    changes.change(
        held, plan_id="enterprise", interval=Interval.MONTHLY, seats=1, cents=9900, at=MAY - DAY, by=Actor.system()
    )
    held.refresh_from_db()
    assert price_at(held, MAY) == 9900
    reprice_due(MAY)
    held.refresh_from_db()
    assert (held.cents, rows(held)) == (9900, [(MAY, True, False, True)])


def test_two_accounts_of_one_owner_are_told_of_each(owner: User, account: Account) -> None:
    other = AccountFactory(name="Second", owner=owner)
    subscribe(account)
    subscribe(other)
    decide()
    reprice_due(MAY - 30 * DAY)
    found = Notice.objects.filter(kind="subscriptions/price_changes")
    assert {notice.account_id for notice in found} == {account.pk, other.pk}


def test_an_account_that_is_being_erased_holds_up_nobody(account: Account) -> None:
    gone, held = subscribe(), subscribe(account)
    decide()
    reprice_due(NOW + 2 * DAY)
    Account.objects.filter(pk=gone.account_id).update(purging_at=NOW + 3 * DAY)
    reprice_due(MAY - 30 * DAY)
    assert (rows(gone), rows(held)) == ([(MAY, False, False, True)], [(MAY, True, False, False)])


def test_what_the_law_wants_kept_says_which_price_was_paid_when(account: Account) -> None:
    subscribe(account)
    decide()
    reprice_due(MAY - 30 * DAY)
    reprice_due(MAY)
    billing_record.keep(account.pk, JULY)
    record = BillingRecord.objects.get()
    assert record.cents == 5900
    assert [(change["cents_before"], change["cents"]) for change in record.price_changes] == [(4900, 5900)]
