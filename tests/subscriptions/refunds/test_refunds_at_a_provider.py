"""Refunds that a payment provider pays: picked from what was paid there, accepted, paid, and failed weeks later."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from dateutil.relativedelta import relativedelta
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.erasure.runner import purge_due
from accounts.jobs import invariants
from accounts.mail import sending
from accounts.models import Account, Event, Notice, Purge, RequestKind, SupportRequest, User
from accounts.support.requests import ask
from subscriptions.billing import finding, provider
from subscriptions.billing.provider import RefundState
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import (
    BillingRecord,
    Ends,
    Finding,
    Invoice,
    InvoicePayment,
    Payout,
    Refund,
    Subscription,
)
from subscriptions.pricing.repricing import paid_so_far
from subscriptions.refunds import decisions, paying
from subscriptions.refunds.decisions import approve, charge_undone, propose
from subscriptions.refunds.paying import carry_out_due, say_paid
from subscriptions.refunds.refund import RefundCause, Refunded
from subscriptions.subscription import locked
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, UserFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
AT = NOW + DAY


class Bank:
    """A payment provider that pays back, in the state that it is told to be in."""

    code = "bank"
    label = "Bank"
    stops_by_itself = True
    sells = False

    def __init__(self) -> None:
        self.state, self.failure = "paid", ""
        self.orders: list[str] = []
        self.asked = 0
        self.is_away = False

    def refund(self, refund: Refund, *, at: datetime) -> RefundState:
        assert len(connection.savepoint_ids) == 0, "called inside a transaction"
        if self.is_away:
            raise ConnectionError("nobody answers")
        if refund.reference not in self.orders:
            self.orders.append(refund.reference)
        return RefundState(self.state, reference=f"re_{refund.reference}", failure=self.failure)

    def refund_state(self, refund: Refund, *, at: datetime) -> RefundState:
        self.asked += 1
        return RefundState(self.state, reference=refund.provider_reference, failure=self.failure)


@pytest.fixture
def bank() -> Iterator[Bank]:
    found = Bank()
    with provider.REGISTRY.replaced(cast(provider.Provider, found)):
        yield found


@pytest.fixture
def agent(db: None) -> Actor:
    return Actor.staff(UserFactory(email="agent@example.com", is_staff=True))


def paid_there(
    subscription: Subscription, number: str, cents: int, *, paid_at: datetime = NOW, **changes: Any
) -> InvoicePayment:
    invoice = Invoice.objects.create(
        subscription=subscription,
        provider="bank",
        reference=f"in_{number}",
        number=f"INV-{number}",
        status="paid",
        cents_due=cents,
        cents_paid=cents,
        currency="USD",
        issued_at=paid_at,
        paid_at=paid_at,
    )
    return InvoicePayment.objects.create(
        invoice=invoice, reference=f"pi_{number}", cents=cents, paid_at=invoice.paid_at, **changes
    )


@pytest.fixture
def subscription(account: Account, bank: Bank) -> Subscription:
    """Held by the bank: 49 dollars a month, of which a voucher took nine the first time."""
    found = subscribe(account, cents=4900)
    Subscription.objects.filter(pk=found.pk).update(
        held_by="bank", period_started_at=NOW, period_ends_at=NOW + relativedelta(months=1), first_paid_at=NOW
    )
    found.refresh_from_db()
    paid_there(found, "1", 4000)
    return found


@pytest.fixture
def asked(account: Account, owner: User, subscription: Subscription) -> SupportRequest:
    return ask(account, kind=RequestKind.REFUND, message="", by=Actor.owner(owner), at=AT)[0]


def proposed(subscription: Subscription, by: Actor, **changes: Any) -> Refund:
    options: dict[str, Any] = {
        "cents": 4000, "currency": "USD", "ends": Ends.NOW, "payment_reference": "pi_1", "at": AT, **changes,
    }  # fmt: skip
    return propose(subscription, by=by, **options)[0]


def approved(subscription: Subscription, by: Actor, **changes: Any) -> Refund:
    refund = proposed(subscription, by, **changes)
    approve(refund, by=by, at=refund.proposed_at)
    return refund


def mails() -> list[str]:
    kinds = Notice.objects.filter(kind__startswith="subscriptions/").values_list("kind", flat=True)
    return sorted(kind.removeprefix("subscriptions/") for kind in kinds)


def words(kind: str) -> str:
    return " ".join(str(sending.write(Notice.objects.get(kind=f"subscriptions/{kind}")).body).split())


def warned(at: datetime) -> set[str]:
    found = [*invariants.violations(at), *invariants.warnings(at)]
    return {one.name for one in found if one.name.startswith("refund")}


def test_what_was_paid_is_what_was_read_and_not_price_times_cycles(subscription: Subscription, agent: Actor) -> None:
    assert paid_so_far(subscription, AT) == 4000
    with pytest.raises(decisions.WrongAmount, match=r"\$40\.00"):
        proposed(subscription, agent, cents=4900)


def test_paid_at_once_it_is_one_mail_and_the_end(
    subscription: Subscription, asked: SupportRequest, agent: Actor
) -> None:
    refund = approved(subscription, agent, request=asked)
    assert carry_out_due(AT) == 1
    for row in (refund, subscription, asked):
        row.refresh_from_db()
    assert refund.accepted_at == refund.paid_at == refund.ended_at == subscription.ends_at == asked.closed_at == AT
    assert refund.provider_reference == f"re_{refund.reference}"
    assert mails() == ["refund_approved", "refund_paid"]
    assert not Payout.objects.exists(), "staff have paid nothing"


def test_accepted_is_not_paid_yet_and_ends_the_subscription(
    subscription: Subscription, asked: SupportRequest, agent: Actor, bank: Bank
) -> None:
    bank.state = "accepted"
    refund = approved(subscription, agent, request=asked)
    assert carry_out_due(AT) == 1
    refund.refresh_from_db()
    subscription.refresh_from_db()
    assert (refund.accepted_at, refund.paid_at, refund.ended_at, subscription.ends_at) == (AT, None, AT, AT)
    assert mails() == ["refund_accepted", "refund_approved"]
    assert "is on its way to where it was paid from" in words("refund_accepted")
    assert "With that the subscription ends" in words("refund_accepted")
    # Asked once an hour, and nothing is said again.
    assert carry_out_due(AT + HOUR) == 0
    assert carry_out_due(AT + HOUR) == 0
    assert (bank.asked, mails()[2:]) == (1, [])
    bank.state = "paid"
    carry_out_due(AT + 2 * HOUR)
    refund.refresh_from_db()
    assert refund.paid_at == AT + 2 * HOUR
    assert mails() == ["refund_accepted", "refund_approved", "refund_paid"]
    assert "The subscription has ended already." in words("refund_paid")
    assert bank.orders == [refund.reference]
    assert Event.objects.filter(kind="subscription.ended").count() == 1


def test_failed_three_weeks_later_the_request_is_open_again_and_the_subscription_stays_ended(
    subscription: Subscription, asked: SupportRequest, agent: Actor, owner: User, bank: Bank
) -> None:
    refund = approved(subscription, agent, request=asked)
    carry_out_due(AT)
    later = AT + 21 * DAY
    bank.state, bank.failure = "failed", "expired_or_canceled_card"
    carry_out_due(later)
    for row in (refund, subscription, asked):
        row.refresh_from_db()
    assert (refund.failed_at, refund.failure, refund.watched_until) == (later, "expired_or_canceled_card", None)
    assert (subscription.ends_at, subscription.settled_at) == (AT, AT)
    assert (asked.closed_at, asked.outcome, asked.answered_at, asked.due_at) == (None, "", None, later + 5 * DAY)
    told = Notice.objects.get(kind="subscriptions/refund_failed")
    assert told.recipient == owner
    assert "We still owe you this money." in words("refund_failed")
    assert "The subscription has ended, and stays ended." in words("refund_failed")
    found = Finding.objects.open().get()
    assert (found.code, found.reference, found.facts["failure"]) == (
        "refund-failed", refund.reference, "expired_or_canceled_card"
    )  # fmt: skip
    # Once, whatever else is heard of it.
    paying.take_in(refund, RefundState("paid"), at=later + DAY)
    carry_out_due(later + 2 * DAY)
    assert mails() == ["refund_approved", "refund_failed", "refund_paid"]
    kinds = list(Event.objects.filter(at=later).order_by("id").values_list("kind", flat=True))
    assert kinds == ["refund.failed", "request.reopened"]


def test_after_a_failure_staff_pay_another_way_and_say_so(
    subscription: Subscription, asked: SupportRequest, agent: Actor, bank: Bank
) -> None:
    approved(subscription, agent, request=asked)
    bank.state, bank.failure = "failed", "lost_or_stolen_card"
    carry_out_due(AT)
    again = approved(subscription, agent, request=asked, is_by_hand=True)
    assert warned(AT) == {"refund-to-pay"}
    assert carry_out_due(AT + HOUR) == 0, "nobody pays it but staff"
    assert say_paid(again, payment_reference="SEPA 7", by=agent, at=AT + HOUR)
    assert carry_out_due(AT + HOUR) == 1
    subscription.refresh_from_db()
    asked.refresh_from_db()
    assert (subscription.ends_at, asked.closed_at) == (AT + HOUR, AT + HOUR)
    assert Payout.objects.get().payment_reference == "SEPA 7"
    assert len(bank.orders) == 1


def test_failed_before_it_was_accepted_it_ends_nothing_and_the_owner_may_keep_the_subscription(
    subscription: Subscription, agent: Actor, owner: User, bank: Bank
) -> None:
    cancellation, _new = cancel(subscription, by=Actor.owner(owner), at=NOW)
    bank.state, bank.failure = "failed", "disputed"
    refund = approved(subscription, agent)
    with pytest.raises(Refunded):
        withdraw(cancellation, by=Actor.owner(owner), at=AT)
    carry_out_due(AT)
    refund.refresh_from_db()
    assert (refund.accepted_at, refund.failed_at, refund.ended_at) == (None, AT, None)
    assert "your bank has asked us for the same payment already" in words("refund_failed")
    assert withdraw(cancellation, by=Actor.owner(owner), at=AT)


def test_an_answer_that_was_lost_is_asked_for_again_and_paid_once(
    subscription: Subscription, agent: Actor, bank: Bank
) -> None:
    refund = approved(subscription, agent)
    bank.is_away = True
    assert carry_out_due(AT) == 0
    refund.refresh_from_db()
    subscription.refresh_from_db()
    assert (refund.accepted_at, subscription.ends_at) == (None, None)
    assert "nobody answers" in refund.last_error
    assert warned(AT + timedelta(minutes=16)) == {"refund-unpaid"}
    bank.is_away = False
    assert carry_out_due(AT + HOUR) == 1
    assert bank.orders == [refund.reference]


def test_it_is_looked_after_for_thirty_days_once_a_day_and_then_is_final(
    subscription: Subscription, agent: Actor, bank: Bank
) -> None:
    refund = approved(subscription, agent)
    carry_out_due(AT)
    for day in range(1, 40):
        carry_out_due(AT + day * DAY)
    assert bank.asked == 31
    refund.refresh_from_db()
    assert (refund.watched_until, refund.failed_at) == (None, None)
    assert not Refund.objects.due(AT + 400 * DAY).exists()


def test_news_of_it_put_it_in_line_at_once(subscription: Subscription, agent: Actor, bank: Bank) -> None:
    refund = approved(subscription, agent)
    carry_out_due(AT)
    assert paying.look_again(Refund.objects.filter(provider_reference=f"re_{refund.reference}"), AT + HOUR) == 1
    carry_out_due(AT + HOUR)
    assert bank.asked == 1


def test_one_that_takes_longer_than_banks_do_is_shown_to_staff(
    subscription: Subscription, agent: Actor, bank: Bank
) -> None:
    bank.state = "accepted"
    approved(subscription, agent)
    carry_out_due(AT)
    assert warned(AT + 10 * DAY) == set()
    assert warned(AT + 10 * DAY + HOUR) == {"refund-on-the-way"}


def test_only_a_payment_that_was_read_and_only_what_is_left_of_it(subscription: Subscription, agent: Actor) -> None:
    with pytest.raises(decisions.NoSuchPayment):
        proposed(subscription, agent, payment_reference="pi_9")
    InvoicePayment.objects.update(refunded_cents=3000)
    with pytest.raises(decisions.NotLeft, match=r"\$10\.00"):
        proposed(subscription, agent, cents=1001)
    assert proposed(subscription, agent, cents=1000).paid_cents == 4000


def test_what_the_bank_has_asked_back_is_not_paid_back_as_well(subscription: Subscription, agent: Actor) -> None:
    refund = proposed(subscription, agent)
    InvoicePayment.objects.update(disputed=True)
    with pytest.raises(decisions.Disputed):
        approve(refund, by=agent, at=AT)
    decisions.decline(refund, by=agent, at=AT)
    with pytest.raises(decisions.Disputed):
        proposed(subscription, agent)
    assert mails() == []


def test_a_charge_after_the_end_is_undone_by_nobodys_decision_and_beside_the_refund(
    subscription: Subscription, agent: Actor, owner: User, bank: Bank
) -> None:
    approved(subscription, agent)
    carry_out_due(AT)
    paid_there(subscription, "2", 90_000)
    later = AT + 30 * DAY

    def undone() -> bool:
        with transaction.atomic():
            return charge_undone(
                locked(subscription), payment_reference="pi_2", provider_reference="re_2", cents=90_000,
                currency="USD", at=later,
            )  # fmt: skip

    assert [undone() for _time in range(2)] == [True, False]
    refund = Refund.objects.get(cause=RefundCause.CHARGED_AFTER_END)
    assert (refund.approved_by, refund.second_person_for, refund.paid_at) == (None, "", None)
    carry_out_due(later)
    refund.refresh_from_db()
    assert (refund.accepted_at, refund.paid_at) == (later, later)
    assert len(bank.orders) == 1, "the provider has been told already"
    assert mails() == ["charge_undone", "refund_approved", "refund_paid", "refund_paid"]
    assert "$900.00 were charged for a time after its end. That was our mistake." in words("charge_undone")
    assert Finding.objects.get(code="charged-after-end").reference == "pi_2"
    assert Event.objects.filter(kind="subscription.ended").count() == 1


def test_the_database_keeps_undone_charges_apart_from_decisions(subscription: Subscription, agent: Actor) -> None:
    refund = proposed(subscription, agent)
    for change in ({"cause": "charged_after_end"}, {"cause": "gift"}, {"failed_at": AT}, {"failure": "why"}):
        with pytest.raises(IntegrityError, match="refund_"), transaction.atomic():
            Refund.objects.filter(pk=refund.pk).update(**change)


def test_an_erasing_waits_for_what_is_on_its_way_and_for_another_way_after_a_failure(
    subscription: Subscription, account: Account, agent: Actor, bank: Bank
) -> None:
    bank.state = "accepted"
    refund = approved(subscription, agent)
    carry_out_due(AT)
    oblige(account, due_at=AT)
    assert purge_due(AT) == 0
    assert Purge.objects.get().waiting_for == f"the refund {refund.reference}, which is accepted and not paid yet"
    bank.state, bank.failure = "failed", "declined"
    carry_out_due(AT + HOUR)
    assert purge_due(AT + HOUR) == 0
    assert Purge.objects.get().waiting_for == f"another way to pay the refund {refund.reference}, which has failed"
    assert finding.close(Finding.objects.get(), by=agent.user, at=AT + 2 * HOUR)
    assert purge_due(AT + 2 * HOUR) == 1
    # Nothing was paid back, and that is what is kept.
    kept = BillingRecord.objects.get()
    assert (kept.refunded_cents, kept.refunded_at) == (0, None)


def test_what_others_paid_back_there_is_kept_when_all_else_is_erased(
    subscription: Subscription, account: Account
) -> None:
    InvoicePayment.objects.update(refunded_cents=1500)
    Subscription.objects.update(ends_at=AT)
    oblige(account, due_at=AT)
    assert purge_due(AT) == 1
    assert BillingRecord.objects.get().refunded_cents == 1500


def test_staff_pick_the_payment_at_the_desk(
    account: Account, subscription: Subscription, lead: User, sign_in: SignIn
) -> None:
    # A payment of last week, so that the desk's own clock finds it.
    at = clock.now()
    held = subscribe(at=at - 7 * DAY, cents=4900)
    Subscription.objects.filter(pk=held.pk).update(
        held_by="bank", period_started_at=at - 7 * DAY, period_ends_at=at + 21 * DAY, first_paid_at=at - 7 * DAY
    )
    paid_there(held, "8", 4900, refunded_cents=900, paid_at=at - 7 * DAY)
    paid_there(held, "9", 4900, disputed=True, paid_at=at - 8 * DAY)
    client = sign_in(lead)
    url = f"/admin/act/propose_refund/{held.pk}/"
    page = client.get(url).content.decode()
    assert "INV-8" in page
    assert "$49.00, of which $40.00 are left" in page
    assert "$49.00, disputed" in page
    form = {"reason": "Case 3", "amount": "40.00", "currency": "USD", "ends": "now", "confirmed": "yes"}
    assert client.post(url, {**form, "payment_reference": "typed"}).status_code == 422
    assert not Refund.objects.exists()
    assert client.post(url, {**form, "payment_reference": "pi_8"}, follow=True).status_code == 200
    assert Refund.objects.get().payment_reference == "pi_8"
