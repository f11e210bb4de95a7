"""Making Stripe agree: what is asked, what its answers mean, and that a kill between any two calls loses nothing."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.jobs.due_work import NotYet
from subscriptions.billing.finding import Finding
from subscriptions.billing.provider import Agreement, WishRequest
from subscriptions.billing.wish import Cause, Outcome, Want
from subscriptions.stripe.agreement import agree
from tests.fakes.stripe import FakeStripe

pytestmark = pytest.mark.django_db

BOUGHT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PERIOD_END = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
NEXT_END = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

Json = dict[str, Any]


@pytest.fixture
def held(stripe: FakeStripe) -> Json:
    """A seat at $49.00 a month, bought on 1 March at noon; it is 20 March."""
    stripe.now = BOUGHT
    subscription = stripe.subscribe(stripe.customer(), stripe.price(4900))
    stripe.advance(datetime(2026, 3, 20, 12, 0, tzinfo=UTC))
    stripe.forget_requests()
    return subscription


def intent_of(stripe: FakeStripe, invoice: Json) -> Json:
    """By which an invoice was paid."""
    intent = stripe.intent_of(invoice)
    assert intent is not None
    return intent


def wish(stripe: FakeStripe, held: Json, want: Want = Want.END, **more: Any) -> WishRequest:
    """What is wished now, by Stripe's clock: to end with the period, unless said otherwise."""
    wanted = None if want == Want.GO_ON else PERIOD_END
    request = WishRequest(
        subscription_id=7,
        version=1,
        want=want,
        wanted_end_at=wanted,
        at_once=False,
        cause=Cause.OWNER,
        feedback="unused",
        deadline_at=PERIOD_END,
        wished_at=stripe.now,
        reference=held["id"],
        customer_reference=held["customer"],
        cancellation_reference="CAN-7",
        order_reference="",
        external_id="",
        account_id=uuid.UUID(int=1),
        account_external_id="",
        at=stripe.now,
    )
    return replace(request, **more)


def asked(stripe: FakeStripe) -> list[str]:
    """What was asked for, but reading."""
    return [f"{request.method} {request.path}" for request in stripe.requests if request.method != "GET"]


def forms(stripe: FakeStripe) -> list[Json]:
    return [request.form for request in stripe.changes()]


def paid_back(stripe: FakeStripe) -> list[int]:
    return [refund["amount"] for refund in stripe.refunds]


# To end with the period


def test_it_ends_with_its_period_by_two_calls(stripe: FakeStripe, held: Json) -> None:
    agreement = agree(wish(stripe, held))
    assert (agreement.outcome, agreement.ends_at) == (Outcome.AGREED, None)
    assert stripe.count() == 2
    assert forms(stripe) == [
        {
            "cancel_at_period_end": "true",
            "cancellation_details": {"feedback": "unused"},
            "metadata": {"offboard_cancellation": "CAN-7"},
        }
    ]
    stripe.advance(PERIOD_END)
    assert held["status"] == "canceled"
    assert [invoice["amount_paid"] for invoice in stripe.invoices] == [4900]


def test_what_ends_already_is_asked_for_nothing(stripe: FakeStripe, held: Json) -> None:
    stripe.portal_cancel(held)
    assert agree(wish(stripe, held)).outcome == Outcome.AGREED
    assert asked(stripe) == []


def test_each_attempt_has_a_key_of_its_own_so_that_no_old_answer_passes_for_a_new_one(
    stripe: FakeStripe, held: Json
) -> None:
    agree(wish(stripe, held))
    stripe.portal_keep(held)
    again = agree(wish(stripe, held, at=stripe.now + timedelta(minutes=1)))
    assert again.outcome == Outcome.AGREED
    assert held["cancel_at"] == PERIOD_END.timestamp()
    keys = [request.idempotency_key for request in stripe.changes()]
    assert len({*keys}) == 2
    assert all(key and key.startswith("wish:7:1:") for key in keys)


def test_an_end_under_a_schedule_is_set_once_the_schedule_is_released(stripe: FakeStripe, held: Json) -> None:
    schedule = stripe.schedule_for(held)
    assert agree(wish(stripe, held)).outcome == Outcome.AGREED
    assert asked(stripe) == [
        f"POST /v1/subscription_schedules/{schedule['id']}/release",
        f"POST /v1/subscriptions/{held['id']}",
    ]
    assert (held["schedule"], held["cancel_at"]) == (None, PERIOD_END.timestamp())


def test_a_trial_ends_with_the_trial_and_costs_nothing(stripe: FakeStripe) -> None:
    stripe.now = BOUGHT
    trial = stripe.subscribe(stripe.customer(), stripe.price(4900), trial_end=PERIOD_END)
    assert agree(wish(stripe, trial)).outcome == Outcome.AGREED
    stripe.advance(NEXT_END)
    assert (trial["status"], trial["ended_at"]) == ("canceled", PERIOD_END.timestamp())
    assert sum(invoice["amount_due"] for invoice in stripe.invoices) == 0


def test_a_longer_paid_period_moves_the_end(stripe: FakeStripe, held: Json) -> None:
    stripe.hurry(held, NEXT_END)
    agreement = agree(wish(stripe, held))
    assert (agreement.outcome, agreement.ends_at) == (Outcome.AGREED, NEXT_END)


def test_a_shorter_paid_period_stops_the_charge_and_never_moves_the_end_that_was_told(
    stripe: FakeStripe, held: Json
) -> None:
    agreement = agree(wish(stripe, held, wanted_end_at=NEXT_END))
    assert (agreement.outcome, agreement.ends_at) == (Outcome.AGREED, None)
    assert agreement.facts["cancel_at"] == PERIOD_END.timestamp()


def test_an_end_by_arithmetic_waits_for_the_period_that_was_meant(stripe: FakeStripe, held: Json) -> None:
    # Cancelled a second after the period's end, which Stripe has not got to yet.
    late = PERIOD_END + timedelta(seconds=1)
    waiting = agree(wish(stripe, held, wanted_end_at=NEXT_END, at=late))
    assert (waiting.outcome, waiting.again_at) == (Outcome.WAITING, late + timedelta(minutes=1))
    stripe.advance(PERIOD_END + timedelta(minutes=2))
    assert agree(wish(stripe, held, wanted_end_at=NEXT_END)).outcome == Outcome.AGREED
    assert held["cancel_at"] == NEXT_END.timestamp()


@pytest.mark.parametrize("status", ["unpaid", "paused"])
def test_where_nothing_is_paid_it_ends_now(stripe: FakeStripe, held: Json, status: str) -> None:
    if status == "paused":
        stripe.pause(held)
    else:
        held["status"] = status
    assert agree(wish(stripe, held)).outcome == Outcome.ENDED
    assert held["status"] == "canceled"


# At once


def test_at_once_it_ends_now_and_what_was_paid_is_left_to_whoever_decides_about_refunds(
    stripe: FakeStripe, held: Json
) -> None:
    agreement = agree(wish(stripe, held, wanted_end_at=stripe.now, at_once=True))
    assert (agreement.outcome, agreement.facts["status"]) == (Outcome.ENDED, "canceled")
    (ended,) = stripe.changes()
    assert (ended.method, ended.form) == ("DELETE", {"prorate": "false", "invoice_now": "false"})
    assert ended.idempotency_key
    assert paid_back(stripe) == []


def test_what_has_ended_is_agreed(stripe: FakeStripe, held: Json) -> None:
    stripe.dashboard_cancel(held, "now")
    for request in (wish(stripe, held), wish(stripe, held, wanted_end_at=stripe.now, at_once=True)):
        assert agree(request).outcome == Outcome.ENDED
    assert asked(stripe) == []


def test_who_leaves_while_a_payment_is_late_ends_now_and_the_open_invoice_is_void(
    stripe: FakeStripe, held: Json
) -> None:
    stripe.pay_with(held["customer"], "declines")
    stripe.advance(PERIOD_END + timedelta(days=2))
    assert held["status"] == "past_due"
    renewal = stripe.the(held["latest_invoice"])
    agreement = agree(wish(stripe, held, wanted_end_at=stripe.now, at_once=True))
    assert agreement.outcome == Outcome.ENDED
    assert (held["status"], renewal["status"]) == ("canceled", "void")
    assert agreement.facts["undone"] == [{"invoice": renewal["id"], "what": "voided"}]


def test_an_invoice_that_was_sent_for_a_time_that_was_used_stays_due(stripe: FakeStripe) -> None:
    stripe.now = BOUGHT
    sent = stripe.subscribe(stripe.customer(), stripe.price(4900), collection_method="send_invoice", days_until_due=7)
    stripe.advance(PERIOD_END + timedelta(days=3))
    renewal = stripe.the(sent["latest_invoice"])
    agree(wish(stripe, sent, wanted_end_at=stripe.now, at_once=True))
    assert (sent["status"], renewal["status"]) == ("canceled", "open")


# Too late


def test_a_renewal_that_is_still_a_draft_is_frozen(stripe: FakeStripe, held: Json) -> None:
    stripe.advance(PERIOD_END + timedelta(minutes=20))
    renewal = stripe.the(held["latest_invoice"])
    assert renewal["status"] == "draft"
    agreement = agree(wish(stripe, held))
    assert (agreement.outcome, held["status"]) == (Outcome.ENDED, "canceled")
    assert agreement.facts["undone"] == [{"invoice": renewal["id"], "what": "frozen"}]
    stripe.advance(NEXT_END)
    assert (renewal["status"], renewal["amount_paid"]) == ("draft", 0)


def test_the_flag_that_comes_a_second_too_late_is_seen_in_the_answer(stripe: FakeStripe, held: Json) -> None:
    """Read before the period rolled over, changed after it: the change succeeds, and means a cycle later."""
    fault = stripe.fail("GET /v1/subscriptions/*", stale=True)
    stripe.advance(PERIOD_END + timedelta(seconds=1))
    agreement = agree(wish(stripe, held))
    assert fault.left == 0
    assert asked(stripe) == [f"POST /v1/subscriptions/{held['id']}", f"DELETE /v1/subscriptions/{held['id']}"]
    assert (agreement.outcome, held["status"]) == (Outcome.ENDED, "canceled")
    stripe.advance(NEXT_END)
    assert [invoice["amount_paid"] for invoice in stripe.invoices] == [4900, 0]


def test_a_renewal_that_waits_for_its_payment_is_void(stripe: FakeStripe, held: Json) -> None:
    stripe.pay_with(held["customer"], "declines")
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    assert renewal["status"] == "open"
    assert agree(wish(stripe, held)).outcome == Outcome.ENDED
    assert (held["status"], renewal["status"]) == ("canceled", "void")


def test_a_renewal_that_was_paid_is_paid_back_once(stripe: FakeStripe, held: Json) -> None:
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    assert renewal["amount_paid"] == 4900
    for _attempt in range(2):
        agreement = agree(wish(stripe, held))
        stripe.advance(days=2)
    (undone,) = agreement.facts["undone"]
    assert (undone["invoice"], undone["what"], undone["cents"]) == (renewal["id"], "refunded", 4900)
    assert paid_back(stripe) == [4900]
    # The first payment is for a time that was used.
    assert [refund["payment_intent"] for refund in stripe.refunds] == [intent_of(stripe, renewal)["id"]]


def test_a_renewal_with_tax_that_is_paid_back_has_its_credit_note_once(stripe: FakeStripe) -> None:
    stripe.now, stripe.tax_percent = BOUGHT, 20
    held = stripe.subscribe(stripe.customer(), stripe.price(4900))
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    assert renewal["amount_paid"] == 5880
    for _attempt in range(2):
        agree(wish(stripe, held))
        stripe.advance(days=2)
    (refund,), (note,) = list(stripe.refunds), list(stripe.credit_notes)
    assert (refund["amount"], note["amount"], note["invoice"]) == (5880, 5880, renewal["id"])
    assert note["metadata"] == {"offboard_undo": refund["id"]}


def test_what_others_have_paid_back_is_not_paid_back_again(stripe: FakeStripe, held: Json) -> None:
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    stripe.refund(intent_of(stripe, renewal), 3000)
    agree(wish(stripe, held))
    assert paid_back(stripe) == [3000, 1900]


def test_a_disputed_renewal_is_left_to_staff(stripe: FakeStripe, held: Json) -> None:
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    stripe.dispute(intent_of(stripe, renewal))
    assert agree(wish(stripe, held)).outcome == Outcome.ENDED
    finding = Finding.objects.get()
    assert (finding.code, finding.reference, finding.facts["why"]) == ("renewal-not-undone", renewal["id"], "disputed")
    assert paid_back(stripe) == []


def test_a_debit_on_its_way_is_waited_for_and_paid_back(stripe: FakeStripe, held: Json) -> None:
    stripe.pay_with(held["customer"], "debits")
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    waiting = agree(wish(stripe, held))
    assert (waiting.outcome, waiting.again_at) == (Outcome.ROLLED_OVER, stripe.now + timedelta(hours=1))
    assert held["status"] == "canceled"
    stripe.advance(days=10)
    assert renewal["status"] == "paid"
    assert agree(wish(stripe, held)).outcome == Outcome.ENDED
    assert paid_back(stripe) == [4900]


def test_a_renewal_that_credit_paid_is_a_finding(stripe: FakeStripe, held: Json) -> None:
    stripe.the(held["customer"])["balance"] = -10_000
    stripe.advance(PERIOD_END + timedelta(hours=2))
    renewal = stripe.the(held["latest_invoice"])
    assert (renewal["status"], renewal["amount_paid"]) == ("paid", 0)
    assert agree(wish(stripe, held)).outcome == Outcome.ENDED
    finding = Finding.objects.get()
    assert (finding.code, finding.facts["cents"], finding.facts["currency"]) == ("credit-lost", 4900, "usd")


def test_a_week_away_and_two_months_late_everything_after_the_end_is_undone(stripe: FakeStripe, held: Json) -> None:
    stripe.advance(NEXT_END + timedelta(days=3))
    assert len([invoice for invoice in stripe.invoices if invoice["amount_paid"]]) == 3
    assert agree(wish(stripe, held)).outcome == Outcome.ENDED
    assert paid_back(stripe) == [4900, 4900]


# To go on


@pytest.mark.parametrize("how", ["flag", "date"])
def test_it_goes_on_by_clearing_the_one_field_that_is_set(stripe: FakeStripe, held: Json, how: str) -> None:
    if how == "flag":
        stripe.dashboard_cancel(held)
    else:
        stripe.portal_cancel(held)
    agreement = agree(wish(stripe, held, Want.GO_ON))
    assert (agreement.outcome, held["cancel_at"], held["cancel_at_period_end"]) == (Outcome.AGREED, None, False)
    assert forms(stripe) == [{"cancel_at_period_end": "false"} if how == "flag" else {"cancel_at": ""}]
    # Read, changed, and read again: the answer to a change is not taken for what stands.
    assert stripe.count() == 3


def test_what_goes_on_is_asked_for_nothing(stripe: FakeStripe, held: Json) -> None:
    assert agree(wish(stripe, held, Want.GO_ON)).outcome == Outcome.AGREED
    assert asked(stripe) == []


def test_what_has_ended_does_not_go_on(stripe: FakeStripe, held: Json) -> None:
    stripe.dashboard_cancel(held, "now")
    agreement = agree(wish(stripe, held, Want.GO_ON))
    assert (agreement.outcome, agreement.ends_at) == (Outcome.ENDED, stripe.now)


# Kills and faults


Scene = Callable[[FakeStripe, Json], WishRequest]


def _flag(stripe: FakeStripe, held: Json) -> WishRequest:
    return wish(stripe, held)


def _scheduled(stripe: FakeStripe, held: Json) -> WishRequest:
    stripe.schedule_for(held)
    return wish(stripe, held)


def _now(stripe: FakeStripe, held: Json) -> WishRequest:
    return wish(stripe, held, wanted_end_at=stripe.now, at_once=True)


def _late_paid(stripe: FakeStripe, held: Json) -> WishRequest:
    stripe.advance(PERIOD_END + timedelta(hours=2))
    return wish(stripe, held)


def _late_open(stripe: FakeStripe, held: Json) -> WishRequest:
    stripe.pay_with(held["customer"], "declines")
    return _late_paid(stripe, held)


def _late_draft(stripe: FakeStripe, held: Json) -> WishRequest:
    stripe.advance(PERIOD_END + timedelta(minutes=10))
    return wish(stripe, held)


def _past_due(stripe: FakeStripe, held: Json) -> WishRequest:
    stripe.pay_with(held["customer"], "declines")
    stripe.advance(PERIOD_END + timedelta(days=2))
    return _now(stripe, held)


def _keep(stripe: FakeStripe, held: Json) -> WishRequest:
    stripe.portal_cancel(held)
    return wish(stripe, held, Want.GO_ON)


SCENES = [_flag, _scheduled, _now, _late_paid, _late_open, _late_draft, _past_due, _keep]


def _end_of(stripe: FakeStripe, held: Json, agreement: Agreement) -> object:
    """What the money came to: status and dates there, each invoice, each refund."""
    return (
        agreement.outcome,
        held["status"],
        held["cancel_at"],
        [(invoice["status"], invoice["amount_paid"]) for invoice in stripe.invoices],
        paid_back(stripe),
    )


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__.strip("_"))
@pytest.mark.parametrize("heard", [False, True], ids=["before", "after"])
def test_a_kill_before_or_after_any_call_changes_nothing_of_the_end(
    stripe: FakeStripe, scene: Scene, heard: bool
) -> None:
    """Each call in turn is never sent, or its answer is never read. The next attempt knows nothing of the first."""

    def begin() -> tuple[Json, WishRequest]:
        stripe.clear()
        stripe.now = BOUGHT
        held = stripe.subscribe(stripe.customer(), stripe.price(4900))
        stripe.advance(datetime(2026, 3, 20, 12, 0, tzinfo=UTC))
        request = scene(stripe, held)
        stripe.forget_requests()
        return held, request

    held, request = begin()
    expected = _end_of(stripe, held, agree(request))
    calls = stripe.count()
    assert calls >= 2
    for number in range(calls):
        held, request = begin()
        stripe.fail("*", disconnect=True, skip=number, carried_out=heard)
        with pytest.raises(NotYet):
            agree(request)
        again = agree(replace(request, at=request.at + timedelta(seconds=30)))
        assert _end_of(stripe, held, again) == expected, number


@pytest.mark.parametrize(
    ("fault", "counts"),
    [
        ({"status": 500}, True),
        ({"status": 503}, True),
        ({"status": 409}, True),
        ({"garbled": True}, True),
        ({"garbled": True, "carried_out": True}, True),
        ({"status": 429, "reason": "global-rate"}, False),
        ({"status": 429, "code": "lock_timeout"}, False),
        ({"status": 302, "location": "/v1/elsewhere"}, True),
        ({"status": 401}, True),
        ({"status": 403}, True),
        ({"status": 400}, None),
    ],
)
def test_whatever_stripe_answers_the_wish_is_asked_again(
    stripe: FakeStripe, held: Json, fault: Json, counts: bool | None
) -> None:
    stripe.fail("POST /v1/subscriptions/*", **fault)
    with pytest.raises(NotYet) as waiting:
        agree(wish(stripe, held))
    if counts is not None:
        assert waiting.value.counts is counts
    again = agree(wish(stripe, held, at=stripe.now + timedelta(minutes=2)))
    assert again.outcome == Outcome.AGREED
    assert held["cancel_at"] == PERIOD_END.timestamp()


def test_a_late_payment_that_succeeds_after_its_owner_left_is_paid_back(stripe: FakeStripe, held: Json) -> None:
    stripe.pay_with(held["customer"], "declines")
    stripe.advance(PERIOD_END + timedelta(days=2))
    request = wish(stripe, held, wanted_end_at=stripe.now, at_once=True)
    stripe.advance(hours=1)
    stripe.pay(held["latest_invoice"], card="pays")
    agreement = agree(replace(request, at=stripe.now))
    assert agreement.outcome == Outcome.ENDED
    assert (held["status"], paid_back(stripe)) == ("canceled", [4900])
