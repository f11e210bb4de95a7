"""Refunds: who may, how much, once; and what happens when half of it fails."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.core import clock
from accounts.core.text import NoText, TextTooLong
from accounts.core.write_guard import BeingErased
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, StaffOnly
from accounts.erasure.runner import purge_due
from accounts.jobs import invariants
from accounts.mail.sending import send_due
from accounts.models import (
    Account,
    Certificate,
    Event,
    Notice,
    Purge,
    RequestKind,
    RequestOutcome,
    SupportRequest,
    User,
)
from accounts.support import answers
from accounts.support.requests import RequestClosed, ask
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import BillingRecord, Cancellation, Channel, Ends, Payout, Refund, Subscription
from subscriptions.pricing.repricing import paid_so_far
from subscriptions.refunds import decisions, payments
from subscriptions.refunds.decisions import approve, decline, propose
from subscriptions.refunds.paying import NotApproved, PaidByItself, carry_out_due, preview, say_paid
from subscriptions.refunds.payments import PaymentFailed, RecordedPayments
from subscriptions.refunds.refund import PaidElsewhere, Refunded
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, AccountFactory, UserFactory, owner_of, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
WINDOW = timedelta(days=30)


@pytest.fixture
def agent(db: None) -> Actor:
    return Actor.staff(UserFactory(email="agent@example.com", is_staff=True))


@pytest.fixture
def lead(db: None) -> Actor:
    return Actor.staff(UserFactory(email="lead@example.com", is_staff=True))


@pytest.fixture
def subscription(account: Account) -> Subscription:
    """49 dollars a month."""
    return subscribe(account, cents=4900)


@pytest.fixture
def asked(account: Account, owner: User, subscription: Subscription) -> SupportRequest:
    return ask(account, kind=RequestKind.REFUND, message="", by=Actor.owner(owner), at=NOW + DAY)[0]


class Till:
    """A payment system that can be broken."""

    def __init__(self) -> None:
        self.broken = False
        self.paid: dict[str, int] = {}

    def refund(self, *, key: str, amount: int, currency: str, reference: str, at: datetime) -> None:
        assert not connection.in_atomic_block or len(connection.savepoint_ids) == 0, "called inside a transaction"
        if self.broken:
            raise PaymentFailed("the card was closed")
        self.paid.setdefault(key, amount)


@pytest.fixture
def till() -> Iterator[Till]:
    found = Till()
    with payments.REGISTRY.replaced(found):
        yield found


def proposed(subscription: Subscription, by: Actor, **changes: Any) -> Refund:
    options: dict[str, Any] = {
        "cents": 4900,
        "currency": "USD",
        "ends": Ends.NOW,
        "payment_reference": "pay_123",
        "at": NOW + DAY,
        **changes,
    }
    return propose(subscription, by=by, **options)[0]


def approved(subscription: Subscription, by: Actor, **changes: Any) -> Refund:
    refund = proposed(subscription, by, **changes)
    assert approve(refund, by=by, at=refund.proposed_at)
    return refund


def paid(refund: Refund, by: Actor, *, at: datetime = NOW + DAY) -> bool:
    """A lead has paid it in the payment system, and says so."""
    return say_paid(refund, payment_reference="pay_123", by=by, at=at)


def shown(at: datetime) -> set[str]:
    return {violation.name for violation in invariants.violations(at) if violation.name.startswith("refund")}


def test_from_a_request_to_a_refunded_customer(
    subscription: Subscription, asked: SupportRequest, account: Account, owner: User, agent: Actor
) -> None:
    refund = proposed(subscription, agent, request=asked)
    assert (refund.cents, refund.paid_cents, refund.second_person_for) == (4900, 4900, "")
    assert approve(refund, by=agent, at=NOW + DAY)
    # Nobody has paid yet, so nobody is told so, and nothing ends.
    assert carry_out_due(NOW + DAY) == 0
    assert not Payout.objects.exists()
    assert not Notice.objects.filter(kind="subscriptions/refund_paid").exists()
    subscription.refresh_from_db()
    assert subscription.ends_at is None
    assert paid(refund, agent)
    assert carry_out_due(NOW + DAY) == 1

    for row in (refund, subscription, asked):
        row.refresh_from_db()
    assert refund.paid_at == refund.ended_at == subscription.ends_at == subscription.settled_at == NOW + DAY
    assert (asked.closed_at, asked.outcome) == (NOW + DAY, "refunded")
    payout = Payout.objects.get()
    assert (payout.refund_id, payout.cents, payout.currency, payout.payment_reference, payout.recorded_at) == (
        refund.reference, 4900, "USD", "pay_123", NOW + DAY
    )  # fmt: skip
    told = Notice.objects.get(kind="subscriptions/refund_paid")
    assert (told.recipient, told.facts["cents"], told.facts["ends"]) == (owner, 4900, "now")
    assert told.facts["ends_at"] == (NOW + DAY).isoformat()
    # The refund's mail says that it ends; nobody needs to be told twice.
    assert not Notice.objects.filter(kind="subscriptions/subscription_ended").exists()
    kinds = Event.objects.filter(account_id=account.pk, at=NOW + DAY).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == [
        "request.made", "refund.proposed", "refund.approved", "refund.paid", "subscription.ended",
        "refund.finished", "request.closed",
    ]  # fmt: skip


def test_ending_with_the_cycle_is_a_cancellation_that_is_not_taken_back(
    subscription: Subscription, owner: User, agent: Actor
) -> None:
    refund = approved(subscription, agent, ends=Ends.CYCLE_END)
    paid(refund, agent)
    assert carry_out_due(NOW + DAY) == 1
    subscription.refresh_from_db()
    end = NOW + relativedelta(months=1)
    assert (subscription.ends_at, subscription.settled_at) == (end, None)
    cancellation = Cancellation.objects.get()
    assert (cancellation.effective_at, cancellation.requested_by) == (end, agent.user)
    assert Notice.objects.get(kind="subscriptions/refund_approved").facts["ends_at"] == end.isoformat()
    assert Notice.objects.get(kind="subscriptions/cancellation_confirmed").facts["refunded"] is True
    with pytest.raises(Refunded):
        withdraw(cancellation, by=Actor.owner(owner), at=NOW + 2 * DAY)
    cancellation.refresh_from_db()
    assert cancellation.withdrawn_at is None
    refund.refresh_from_db()
    assert refund.ended_at == NOW + DAY


def test_the_page_of_who_was_refunded_offers_no_way_to_keep_it(account: Account, agent: Actor, sign_in: SignIn) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - DAY, cents=4900)
    owner = owner_of(subscription).user
    refund = approved(subscription, agent, ends=Ends.CYCLE_END, at=at)
    client = sign_in(owner)
    assert "A refund of $49.00 is approved" in client.get("/user/subscription/").content.decode()
    paid(refund, agent, at=at)
    carry_out_due(at)
    for path in ("/user/subscription/", "/user/subscription/cancellation/"):
        assert "Keep my subscription" not in client.get(path).content.decode()
    assert "$49.00 were paid back to you" in client.get("/user/subscription/").content.decode()
    about = {"account": subscription.account_id, "shown": subscription.cancellations.get().reference}
    refusal = client.post("/user/subscription/cancellation/withdraw/", about)
    assert refusal.status_code == 409
    assert "This subscription was refunded" in refusal.content.decode()


@pytest.mark.parametrize("cents", [0, -1, -4900, 4901, 10**9])
def test_no_more_than_was_paid_and_no_less_than_something(subscription: Subscription, agent: Actor, cents: int) -> None:
    with pytest.raises(decisions.WrongAmount, match=r"\$49\.00"):
        proposed(subscription, agent, cents=cents)
    assert not Refund.objects.exists()


def test_the_database_refuses_impossible_refunds(subscription: Subscription, agent: Actor) -> None:
    rows = Refund.objects.filter(pk=proposed(subscription, agent).pk)
    impossible: dict[str, dict[str, Any]] = {
        "refund_within_what_was_paid": {"cents": 4901},
        "refund_approved_by_someone": {"approved_at": NOW + DAY},
        "refund_approved_by_another": {
            "second_person_for": "limit", "approved_at": NOW + DAY, "approved_by": agent.user, "next_attempt_at": NOW,
        },
        "refund_declined_by_someone": {"declined_at": NOW + DAY},
        "refund_end_is_known": {"ends": "never"},
    }  # fmt: skip
    for constraint, change in impossible.items():
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            rows.update(**change)
    with pytest.raises(IntegrityError, match="refund_within_what_was_paid"), transaction.atomic():
        rows.update(cents=0)
    Refund.objects.update(approved_at=NOW + DAY, approved_by=agent.user, next_attempt_at=NOW + DAY)
    with pytest.raises(IntegrityError, match="refund_accepted_after_approval"), transaction.atomic():
        rows.update(accepted_at=NOW)


@pytest.mark.parametrize(
    ("at", "interval", "paid"),
    [
        (NOW, 1, 4900),
        (NOW + relativedelta(months=1) - SECOND, 1, 4900),
        (NOW + relativedelta(months=1), 1, 9800),
        (NOW + relativedelta(months=11), 12, 4900),
        (NOW + relativedelta(months=12), 12, 9800),
    ],
)
def test_what_was_paid_is_every_cycle_that_has_begun(account: Account, at: datetime, interval: int, paid: int) -> None:
    assert paid_so_far(subscribe(account, cents=4900, interval=interval), at) == paid


def test_nothing_is_paid_in_a_trial_nor_after_the_end(account: Account, agent: Actor) -> None:
    trial = subscribe(account, cents=4900, trial_ends_at=NOW + 14 * DAY)
    assert (paid_so_far(trial, NOW + 14 * DAY - SECOND), paid_so_far(trial, NOW + 14 * DAY)) == (0, 4900)
    with pytest.raises(decisions.WrongAmount):
        proposed(trial, agent, at=NOW + DAY)
    ended = subscribe(cents=4900, seats=2, ends_at=NOW + relativedelta(months=2))
    assert paid_so_far(ended, NOW + relativedelta(months=8)) == 2 * 2 * 4900


@pytest.mark.parametrize("channel", [Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE, Channel.DATADOG_SALES])
def test_who_pays_elsewhere_is_paid_back_there(account: Account, owner: User, agent: Actor, channel: Channel) -> None:
    subscription = subscribe(account, channel=channel, cents=4900)
    with pytest.raises(PaidElsewhere, match="Record the number of the case") as refusal:
        proposed(subscription, agent)
    assert refusal.value.channel == channel
    assert not Refund.objects.exists()
    request, _new = ask(account, kind=RequestKind.REFUND, message="", by=Actor.owner(owner), at=NOW)
    answers.record_case(request, case_number="CASE-7", by=agent, at=NOW)
    assert answers.close(request, outcome=RequestOutcome.REFUNDED, by=agent, at=NOW)


def test_another_currency_is_refused(subscription: Subscription, agent: Actor) -> None:
    with pytest.raises(decisions.WrongCurrency, match="USD"):
        proposed(subscription, agent, currency="EUR")
    assert not Refund.objects.exists()


def test_a_request_of_another_account_or_a_closed_one_is_refused(
    subscription: Subscription, account: Account, owner: User, agent: Actor, asked: SupportRequest
) -> None:
    elsewhere = AccountFactory()
    other, _new = ask(elsewhere, kind=RequestKind.REFUND, message="", by=Actor.owner(elsewhere.owner()), at=NOW)
    deletion, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    for request in (other, deletion):
        with pytest.raises(decisions.WrongRequest):
            proposed(subscription, agent, request=request)
    answers.close(asked, outcome=RequestOutcome.ANSWERED, by=agent, at=NOW + DAY)
    with pytest.raises(RequestClosed):
        proposed(subscription, agent, request=asked)
    assert not Refund.objects.exists()


@pytest.mark.parametrize(("number", "refusal"), [("", NoText), ("  ", NoText), ("9" * 101, TextTooLong)])
def test_the_payment_must_have_a_number(
    subscription: Subscription, agent: Actor, number: str, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        proposed(subscription, agent, payment_reference=number)


def test_only_staff_refund(subscription: Subscription, owner: User, agent: Actor) -> None:
    refund = proposed(subscription, agent)
    for by in (Actor.owner(owner), Actor.system(), Actor.staff(UserFactory())):
        for act in (
            lambda by: proposed(subscription, by),
            lambda by: approve(refund, by=by, at=NOW + DAY),
            lambda by: decline(refund, by=by, at=NOW + DAY),
        ):
            with pytest.raises(StaffOnly):
                act(by)
    refund.refresh_from_db()
    assert (refund.approved_at, refund.declined_at) == (None, None)


def test_whatever_is_clicked_twice_happens_once(subscription: Subscription, agent: Actor) -> None:
    refund = proposed(subscription, agent)
    assert proposed(subscription, agent) == refund
    with pytest.raises(decisions.ProposedBefore, match=refund.reference):
        proposed(subscription, agent, cents=100)
    assert [approve(refund, by=agent, at=NOW + DAY) for _click in range(2)] == [True, False]
    assert [paid(refund, agent) for _click in range(2)] == [True, False]
    assert [carry_out_due(NOW + DAY) for _click in range(2)] == [1, 0]
    assert carry_out_due(NOW + 2 * DAY) == 0
    assert Payout.objects.count() == Notice.objects.filter(kind="subscriptions/refund_approved").count() == 1
    assert Notice.objects.filter(kind="subscriptions/refund_paid").count() == 1
    # Finished, it is still the one refund of this subscription.
    with pytest.raises(decisions.ProposedBefore):
        proposed(subscription, agent, cents=100, at=NOW + 2 * DAY)


def test_what_was_declined_is_not_approved_and_may_be_proposed_anew(
    subscription: Subscription, agent: Actor, lead: Actor, asked: SupportRequest
) -> None:
    refund = proposed(subscription, agent, request=asked)
    with pytest.raises(answers.UnderWay):
        answers.close(asked, outcome=RequestOutcome.DECLINED, text="No.", by=lead, at=NOW + DAY)
    assert [decline(refund, by=lead, at=NOW + DAY) for _click in range(2)] == [True, False]
    with pytest.raises(decisions.Decided):
        approve(refund, by=agent, at=NOW + DAY)
    again = approved(subscription, agent, cents=1000, request=asked)
    with pytest.raises(decisions.Decided):
        decline(again, by=lead, at=NOW + DAY)
    assert Refund.objects.count() == 2


@pytest.mark.parametrize("kind", [RequestKind.REFUND, RequestKind.OTHER])
def test_only_a_request_for_a_refund_made_in_time_keeps_the_window_open(
    subscription: Subscription, owner: User, agent: Actor, kind: RequestKind
) -> None:
    early, _new = ask(subscription.account, kind=kind, message="Hello", by=Actor.owner(owner), at=NOW + DAY)
    refund = proposed(subscription, agent, at=NOW + WINDOW + DAY, request=early)
    assert refund.second_person_for == ("" if kind == RequestKind.REFUND else "window")


@pytest.mark.parametrize(("at", "alone"), [(NOW + WINDOW - SECOND, True), (NOW + WINDOW, False)])
def test_after_thirty_days_to_the_second_it_takes_two(
    subscription: Subscription, agent: Actor, lead: Actor, at: datetime, alone: bool
) -> None:
    refund = proposed(subscription, agent, at=at)
    assert refund.second_person_for == ("" if alone else "window")
    if not alone:
        with pytest.raises(NeedsAnotherPerson):
            approve(refund, by=agent, at=at)
        assert carry_out_due(at) == 0
        assert approve(refund, by=lead, at=at)
    else:
        assert approve(refund, by=agent, at=at)
    paid(refund, lead, at=at)
    assert carry_out_due(at) == 1


def test_who_asks_in_time_is_in_time_however_long_the_answer_takes(
    subscription: Subscription, account: Account, owner: User, agent: Actor
) -> None:
    request, _new = ask(account, kind=RequestKind.REFUND, message="", by=Actor.owner(owner), at=NOW + WINDOW - SECOND)
    assert proposed(subscription, agent, request=request, at=NOW + WINDOW + 3 * DAY).second_person_for == ""


@pytest.mark.parametrize(("cents", "alone"), [(50_000, True), (50_001, False)])
def test_above_the_limit_it_takes_two(account: Account, agent: Actor, lead: Actor, cents: int, alone: bool) -> None:
    refund = proposed(subscribe(account, cents=90_000), agent, cents=cents)
    assert refund.second_person_for == ("" if alone else "limit")
    if not alone:
        with pytest.raises(NeedsAnotherPerson):
            approve(refund, by=agent, at=NOW + DAY)
    assert approve(refund, by=lead, at=NOW + DAY)


def test_a_payment_that_fails_is_tried_again_with_patience_and_ends_nothing(
    subscription: Subscription, agent: Actor, till: Till
) -> None:
    refund = approved(subscription, agent)
    till.broken = True
    start = NOW + DAY
    tries = [minute for minute in range(20) if _attempted(refund, start + timedelta(minutes=minute))]
    assert tries == [0, 1, 3, 7, 15]
    refund.refresh_from_db()
    subscription.refresh_from_db()
    assert (refund.paid_at, refund.last_error) == (None, "PaymentFailed: the card was closed")
    assert subscription.ends_at is None
    assert shown(start + timedelta(minutes=16)) == {"refund-unpaid"}
    till.broken = False
    assert carry_out_due(start + timedelta(hours=1)) == 1
    assert till.paid == {refund.reference: 4900}
    assert shown(start + timedelta(hours=1)) == set()


def _attempted(refund: Refund, at: datetime) -> bool:
    before = Refund.objects.get(pk=refund.pk).attempts
    carry_out_due(at)
    return Refund.objects.get(pk=refund.pk).attempts > before


def test_paid_there_while_ending_failed_here_is_shown_and_finishes_itself(
    subscription: Subscription, asked: SupportRequest, agent: Actor, till: Till
) -> None:
    refund = approved(subscription, agent, request=asked)
    at = NOW + DAY
    with broken_ending():
        assert carry_out_due(at) == 0
    refund.refresh_from_db()
    asked.refresh_from_db()
    assert (refund.paid_at, refund.ended_at, asked.closed_at) == (at, None, None)
    assert "no ending today" in refund.last_error
    assert list(Refund.objects.accepted_but_not_ended()) == [refund]
    assert shown(at + timedelta(minutes=16)) == {"refund-not-ended"}
    assert carry_out_due(at + timedelta(minutes=16)) == 1
    subscription.refresh_from_db()
    refund.refresh_from_db()
    assert subscription.ends_at == refund.ended_at == at + timedelta(minutes=16)
    assert refund.last_error == ""
    assert till.paid == {refund.reference: 4900}
    assert Event.objects.filter(kind="refund.paid").count() == 1
    assert shown(at + timedelta(minutes=16)) == set()


class broken_ending:  # noqa: N801  # reads as what it is
    """The database refuses to end any subscription."""

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("""
                CREATE FUNCTION no_ending() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no ending today'; END $$;
                CREATE TRIGGER no_ending BEFORE UPDATE ON subscriptions_subscription
                FOR EACH ROW WHEN (NEW.ends_at IS DISTINCT FROM OLD.ends_at) EXECUTE FUNCTION no_ending();
            """)

    def __exit__(self, *_error: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER no_ending ON subscriptions_subscription; DROP FUNCTION no_ending();")


def test_a_subscription_that_was_cancelled_already_or_is_over_is_refunded_all_the_same(
    subscription: Subscription, agent: Actor
) -> None:
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW)
    paid(approved(subscription, agent, ends=Ends.CYCLE_END), agent)
    assert carry_out_due(NOW + DAY) == 1
    assert list(Cancellation.objects.all()) == [cancellation]
    for ends in Ends:
        over = subscribe(cents=4900, ends_at=NOW + 2 * DAY)
        refund = proposed(over, agent, ends=ends, at=NOW + 5 * DAY)
        approve(refund, by=agent, at=NOW + 5 * DAY)
        assert Notice.objects.get(occasion=f"refund_approved:{refund.pk}").facts["over"] is True
        paid(refund, agent, at=NOW + 5 * DAY)
        assert carry_out_due(NOW + 5 * DAY) == 1
        over.refresh_from_db()
        assert over.ends_at == NOW + 2 * DAY


def test_the_same_key_with_another_amount_is_a_failure(subscription: Subscription, agent: Actor) -> None:
    refund = proposed(subscription, agent)
    door = RecordedPayments()
    terms = {"key": refund.reference, "currency": "USD", "reference": "pay_123", "at": NOW}
    for _time in range(2):
        door.record(amount=4900, **terms)  # type: ignore[arg-type]  # texts and an instant
    with pytest.raises(PaymentFailed, match="another amount"):
        door.record(amount=4800, **terms)  # type: ignore[arg-type]
    assert Payout.objects.count() == 1


def test_the_preview_says_what_would_be_done_and_does_nothing(subscription: Subscription, agent: Actor) -> None:
    refund = proposed(subscription, agent)
    assert list(preview(NOW + DAY)) == []
    approve(refund, by=agent, at=NOW + DAY)
    assert list(preview(NOW + DAY)) == [], "staff pay it themselves"
    with payments.REGISTRY.replaced(Till()):
        assert list(preview(NOW + DAY)) == [f"{subscription.account_id} Harbour: {refund.reference}: pay 49.00 USD"]
    assert not Payout.objects.exists()


def test_a_purge_waits_for_money_that_is_owed_and_keeps_the_amount(
    subscription: Subscription, account: Account, agent: Actor, till: Till
) -> None:
    till.broken = True
    Subscription.objects.update(ends_at=NOW + DAY)
    refund = approved(subscription, agent)
    oblige(account, due_at=NOW + DAY)
    assert purge_due(NOW + DAY) == 0
    assert refund.reference in Purge.objects.get().waiting_for
    till.broken = False
    assert carry_out_due(NOW + DAY) == 1
    assert purge_due(NOW + DAY + timedelta(minutes=10)) == 1
    kept = BillingRecord.objects.get()
    assert (kept.refunded_cents, kept.refunded_at) == (4900, NOW + DAY)
    assert not Refund.objects.exists()
    # Paid inside the thirty days of the erasing: its proof says so.
    assert Certificate.objects.get().body["paid_back"] == [
        {"at": (NOW + DAY).isoformat(), "cents": 4900, "currency": "USD"}
    ]


def test_nothing_is_refunded_while_the_account_is_being_erased(
    subscription: Subscription, account: Account, agent: Actor
) -> None:
    Account.objects.update(purging_at=NOW)
    with pytest.raises(BeingErased):
        proposed(subscription, agent)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (Ends.NOW, "With that the subscription ends: the account is on Free."),
        (Ends.CYCLE_END, "The subscription ends on Friday, April 17, 2026, 9:30"),
    ],
)
def test_the_mail_says_how_much_and_when_it_ends(
    subscription: Subscription, agent: Actor, settings: Any, ends: Ends, words: str
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    refund = approved(subscription, agent, ends=ends)
    paid(refund, agent)
    carry_out_due(NOW + DAY)
    assert send_due(NOW + DAY) == (2 if ends == Ends.NOW else 3)
    letters = {letter.subject: letter.body for letter in mail.outbox}
    assert words in letters[f"We have paid $49.00 back to you ({refund.reference})"]
    assert "We write to you again when it is paid." in letters[f"A refund of $49.00 is approved ({refund.reference})"]
    assert "Changed your mind?" not in "".join(map(str, letters.values()))


def test_nobody_says_that_it_was_paid_before_it_is_approved_or_where_it_is_paid_by_itself(
    subscription: Subscription, agent: Actor, owner: User
) -> None:
    refund = proposed(subscription, agent)
    with pytest.raises(NotApproved):
        paid(refund, agent)
    approve(refund, by=agent, at=NOW + DAY)
    with payments.REGISTRY.replaced(Till()), pytest.raises(PaidByItself):
        paid(refund, agent)
    with pytest.raises(StaffOnly):
        paid(refund, Actor.owner(owner))
    with pytest.raises(NoText):
        say_paid(refund, payment_reference=" ", by=agent, at=NOW + DAY)
    assert not Payout.objects.exists()
    assert not Event.objects.filter(kind="refund.paid").exists()


def test_who_has_to_pay_is_told_at_once_and_late_after_three_days(subscription: Subscription, agent: Actor) -> None:
    refund = approved(subscription, agent)
    waiting = [found for found in invariants.warnings(NOW + DAY) if found.name == "refund-to-pay"]
    assert [found.examples for found in waiting] == [[refund.reference]]
    assert shown(NOW + 4 * DAY) == set()
    assert shown(NOW + 4 * DAY + SECOND) == {"refund-unpaid"}
    paid(refund, agent, at=NOW + 5 * DAY)
    assert carry_out_due(NOW + 5 * DAY) == 1
    assert shown(NOW + 6 * DAY) == set()


def test_a_lead_pays_and_says_so_at_the_desk(
    account: Account, owner: User, lead: Actor, other_lead: User, sign_in: SignIn
) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - DAY, cents=4900)
    refund = proposed(subscription, lead, at=at)
    client = sign_in(other_lead)
    page = f"/admin/accounts/account/{account.pk}/change/"
    for act, form in (("approve_refund", {}), ("say_paid", {"payment_reference": "re_9"})):
        assert f"/admin/act/{act}/{refund.pk}/" in client.get(page).content.decode()
        answer = client.post(
            f"/admin/act/{act}/{refund.pk}/", {"reason": "Case 81", "confirmed": "yes", **form}, follow=True
        )
        assert answer.status_code == 200
    words = client.get(page).content.decode()
    assert f"/admin/act/say_paid/{refund.pk}/" not in words
    assert Payout.objects.get().payment_reference == "re_9"
    assert Event.objects.get(kind="refund.paid").actor_id == other_lead.pk
