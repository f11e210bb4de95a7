"""An account that is erased leaves nothing running at Stripe, and Stripe says so before anything is erased here."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.customers.history import Actor
from accounts.erasure.certificates import Certificate
from accounts.erasure.purge import Purge
from accounts.erasure.runner import take_turn
from accounts.inbox.delivery import Delivery, DeliveryOutcome
from accounts.models import Account, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from subscriptions.billing import agreeing
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.models import ForgettingStep, StripeCustomer, Subscription
from subscriptions.stripe.forgetting import forget_due, remains, take_step
from subscriptions.stripe.forgetting_step import StepKind
from tests.factories import NOW, subscribe
from tests.fakes.stripe import FakeStripe, leftovers

pytestmark = pytest.mark.django_db
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture
def customer(account: Account, stripe: FakeStripe) -> dict[str, Any]:
    """Somebody with a name, an address and a card, and a month of Pro that has begun a day ago."""
    stripe.now = NOW - DAY
    made = stripe.customer(
        email="ada@lovelace.example",
        name="Ada Lovelace",
        phone="+44 20",
        description="Ada",
        metadata={"offboard_account": str(account.pk)},
    )
    StripeCustomer.objects.create(account=account, reference=made["id"], livemode=False)
    return made


@pytest.fixture
def held(account: Account, stripe: FakeStripe, customer: dict[str, Any]) -> Subscription:
    there = stripe.subscribe(customer, stripe.price(4900), metadata={"offboard_account": str(account.pk)})
    stripe.now = NOW
    here = subscribe(account, at=NOW - DAY)
    here.held_by = "stripe"
    here.save(update_fields=["held_by"])
    Holding.objects.create(
        subscription=here,
        provider="stripe",
        reference=there["id"],
        customer_reference=customer["id"],
        status=HeldStatus.LIVE,
        status_word="active",
        read_at=NOW,
    )
    return here


@pytest.fixture
def purge(account: Account, agent: User, lead: User, held: Subscription) -> Purge:
    """Of a deletion that two people have approved, and that is due."""
    owner = account.owner()
    assert owner is not None
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    deletion.propose(asked, by=Actor.staff(agent), at=NOW, override="They know.")
    return deletion.approve(asked, by=Actor.staff(lead), at=NOW)


def there(stripe: FakeStripe) -> Any:
    return next(iter(stripe.subscriptions))


def test_nothing_is_erased_while_stripe_has_not_said_that_nothing_runs(
    account: Account, purge: Purge, stripe: FakeStripe
) -> None:
    stripe.fail("*", status=500, times=None)
    at = purge.due_at
    assert not take_turn(purge, at)
    forget_due(at)
    agreeing.agree_due(at)
    for later in range(5):
        purge.refresh_from_db()
        take_turn(purge, at + later * DAY)
    purge.refresh_from_db()
    assert purge.started_at, "it has begun, and nothing calls it off"
    assert purge.waiting_for == "Stripe’s word that nothing runs there any more"
    assert Account.objects.filter(pk=account.pk).exists()
    assert not any(store["erased"] for store in purge.progress.values())
    assert not Certificate.objects.exists()


def test_a_subscription_that_runs_is_ended_there_before_the_account_is_gone(
    account: Account, purge: Purge, stripe: FakeStripe
) -> None:
    at = purge.due_at
    assert not take_turn(purge, at)
    assert there(stripe)["status"] == "active", "the erasing calls nobody"
    assert forget_due(at) == 0, "a wish is on its way"
    agreeing.agree_due(at)
    assert forget_due(at + MINUTE) == 3
    assert there(stripe)["status"] == "canceled"
    purge.refresh_from_db()
    assert take_turn(purge, at + MINUTE), "it goes on without waiting for its next look"
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not StripeCustomer.objects.exists()


def test_what_stripe_has_and_we_have_no_row_of_is_ended_as_well(
    account: Account, customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    second = stripe.subscribe(customer, stripe.price(900), metadata={"offboard_account": str(account.pk)})
    erased(purge)
    assert stripe.the(second)["status"] == "canceled"


def test_what_is_being_paid_for_just_then_becomes_no_subscription(
    account: Account, customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    session = stripe.open_session(
        {
            "customer": customer["id"],
            "mode": "subscription",
            "line_items": [{"price": stripe.price(4900)["id"], "quantity": 1}],
            "success_url": "https://blueprints.example/",
        }
    )
    erased(purge)
    assert stripe.the(session)["status"] == "expired"


def test_the_customer_is_blank_afterwards_without_a_card_and_its_invoices_stay(
    customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    erased(purge)
    left = stripe.the(customer)
    assert [left[name] for name in ("name", "email", "phone", "description")] == [None] * 4
    assert left["metadata"] == {}
    assert there(stripe)["metadata"] == {}
    assert [method["customer"] for method in stripe.payment_methods] == [None]
    assert [(invoice["status"], invoice["customer_name"]) for invoice in stripe.invoices] == [("paid", "Ada Lovelace")]


def test_the_certificate_says_what_stripe_keeps_why_and_until_when(purge: Purge, stripe: FakeStripe) -> None:
    erased(purge)
    left, events = Certificate.objects.get().body["remains"]
    assert left == {
        "where": "Stripe",
        "what": "invoices, payments and purchases as they were made, with the name and address on them",
        "why": "tax and commerce law; GDPR art. 17(3)(b)",
        "until": f"{purge.due_at.year + 10}-{purge.due_at:%m-%d}",
    }
    assert events == {
        "where": "Stripe",
        "what": "events, which tell of the customer as it was",
        "why": "Stripe keeps them for thirty days, and nobody can delete them sooner",
        "until": (purge.due_at + 30 * DAY).date().isoformat(),
    }
    step = ForgettingStep.objects.get(done_at=None)
    assert (step.kind, step.due_at.date().isoformat()) == (StepKind.REDACT, left["until"]), "and somebody does it then"


@pytest.mark.parametrize(("policy", "days"), [("delete", None), ("redact", 90)])
def test_other_policies_delete_the_customer_or_redact_it_as_soon_as_that_can_be(
    policy: str, days: int | None, customer: dict[str, Any], purge: Purge, stripe: FakeStripe, settings: Any
) -> None:
    settings.STRIPE_FORGET = policy
    erased(purge)
    assert bool(stripe.the(customer).get("deleted")) == (policy == "delete")
    redaction = ForgettingStep.objects.get(kind=StepKind.REDACT)
    assert redaction.done_at is None
    if days:
        assert redaction.due_at == purge.due_at + timedelta(days=days)


def test_a_customer_that_somebody_has_deleted_there_holds_nothing_up(
    customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    stripe.delete_customer(customer)
    erased(purge)
    assert Certificate.objects.exists()


def test_a_key_that_knows_the_customer_not_at_all_confirms_nothing(
    account: Account, purge: Purge, stripe: FakeStripe
) -> None:
    take_turn(purge, purge.due_at)
    agreeing.agree_due(purge.due_at)
    stripe.fail("GET /v1/customers/*", status=404, code="resource_missing", times=None)
    assert forget_due(purge.due_at + MINUTE) == 0
    step = ForgettingStep.objects.get(kind=StepKind.CONFIRM)
    assert (step.done_at, step.attempts) == (None, 1)
    assert Account.objects.filter(pk=account.pk).exists()


def test_what_another_product_sells_the_customer_is_not_touched_and_staff_are_told(
    customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    foreign = stripe.subscribe(customer, stripe.price(1200))
    erased(purge)
    assert stripe.the(foreign)["status"] == "active"
    assert stripe.the(customer)["name"] == "Ada Lovelace"
    (left,) = Certificate.objects.get().body["remains"]
    assert left["what"] == "the customer, as it was: it buys something else there that is not ours"
    assert Finding.objects.get().code == "erased-customer-buys-elsewhere"


def test_raw_deliveries_that_name_the_customer_are_emptied(
    customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    for number, (about, named) in enumerate([(customer["id"], None), ("", [customer["id"]]), ("cus_other", None)]):
        Delivery.objects.create(
            source="stripe",
            delivery_id=f"evt_{number}",
            event="invoice.paid",
            body=b'{"customer_email": "ada@lovelace.example"}',
            named=named,
            digest=bytes(32),
            received_at=NOW,
            external_account=about,
            processed_at=NOW,
            outcome=DeliveryOutcome.APPLIED,
        )
    erased(purge)
    assert [row.body is None for row in Delivery.objects.order_by("delivery_id")] == [True, True, False]


@pytest.mark.parametrize("call", range(12))
def test_an_answer_that_is_lost_after_any_call_is_made_up_for(
    call: int, account: Account, purge: Purge, stripe: FakeStripe
) -> None:
    stripe.fail("*", disconnect=True, carried_out=True, skip=call)
    erased(purge, patience=20)
    assert there(stripe)["status"] == "canceled"
    assert not Account.objects.filter(pk=account.pk).exists()


def test_what_nobody_finished_is_called_off_and_tax_ids_are_taken_off(
    customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    begun, stopped = leftovers.payment(stripe, customer), leftovers.payment(stripe, customer, status="requires_action")
    reserved = leftovers.payment(stripe, customer, status="requires_capture")
    card, done = leftovers.set_up(stripe, customer), leftovers.set_up(stripe, customer, status="succeeded")
    leftovers.tax_id(stripe, customer)
    foreign = leftovers.tax_id(stripe, stripe.customer())
    customer["business_name"] = customer["individual_name"] = "Ada Lovelace"
    erased(purge)
    found = [begun, stopped, reserved, card, done]
    assert [stripe.the(each)["status"] for each in found] == [
        "canceled",
        "canceled",
        "requires_capture",
        "canceled",
        "succeeded",
    ]
    assert list(stripe.tax_ids) == [foreign]
    left = stripe.the(customer)
    assert (left["business_name"], left["individual_name"]) == (None, None)
    facts = ForgettingStep.objects.get(kind=StepKind.SETTLE).facts
    assert facts == {"voided": 0, "owed": 0, "unused": 3, "reserved": 1, "cards": 1}


def test_a_payment_that_is_a_sent_bills_stays_with_it(
    account: Account, customer: dict[str, Any], purge: Purge, stripe: FakeStripe
) -> None:
    sent = stripe.subscribe(
        customer,
        stripe.price(900),
        collection_method="send_invoice",
        days_until_due=30,
        metadata={"offboard_account": str(account.pk)},
    )
    erased(purge)
    bill = stripe.the(sent["latest_invoice"])
    intent = stripe.intent_of(bill)
    assert intent is not None
    assert (bill["status"], intent["status"]) == ("open", "requires_payment_method")
    facts = ForgettingStep.objects.get(kind=StepKind.SETTLE).facts
    assert (facts["owed"], facts["unused"]) == (1, 0)


@pytest.mark.parametrize(
    ("lacking", "kind", "right"),
    [
        ("checkout_session", StepKind.CONFIRM, "rak_checkout_session_read"),
        ("payment_method", StepKind.SETTLE, "rak_payment_method_write"),
        ("payment_intent", StepKind.SETTLE, "rak_payment_intent_read"),
        ("customer", StepKind.CONFIRM, "rak_customer_read"),
    ],
)
def test_a_key_that_may_not_do_a_step_is_told_the_right_that_it_lacks(
    lacking: str, kind: StepKind, right: str, purge: Purge, stripe: FakeStripe, settings: Any
) -> None:
    take_turn(purge, purge.due_at)
    agreeing.agree_due(purge.due_at)
    rights = (
        *("customer", "subscription", "invoice", "charge", "checkout_session"),
        *("payment_method", "payment_intent", "setup_intent"),
    )
    stripe.restricted["rk_test_narrow"] = {name: "none" if name == lacking else "write" for name in rights}
    settings.STRIPE_API_KEY = "rk_test_narrow"
    forget_due(purge.due_at + MINUTE)
    step = ForgettingStep.objects.get(kind=kind)
    assert (step.done_at, step.last_error) == (None, f"the key lacks the right {right}")


@pytest.mark.parametrize("kind", [StepKind.CONFIRM, StepKind.SETTLE, StepKind.BLANK, StepKind.DELETE])
def test_a_kill_after_a_step_was_done_and_before_it_was_noted_does_it_again(
    kind: StepKind, customer: dict[str, Any], purge: Purge, stripe: FakeStripe, settings: Any
) -> None:
    settings.STRIPE_FORGET = "delete"
    take_turn(purge, purge.due_at)
    agreeing.agree_due(purge.due_at)
    at = purge.due_at + MINUTE
    step = ForgettingStep.objects.get(kind=kind)
    while step.done_at is None:
        due = ForgettingStep.objects.due(at).order_by("kind").first()
        assert due is not None
        take_step(due, at)
        step.refresh_from_db()
    ForgettingStep.objects.filter(pk=step.pk).update(done_at=None, facts={}, next_attempt_at=at)
    erased(purge, patience=6)
    assert stripe.the(customer).get("deleted")
    assert not ForgettingStep.objects.exclude(kind=StepKind.REDACT).filter(done_at=None).exists()


# Redaction: months or years after the account is gone


@pytest.fixture
def redaction(customer: dict[str, Any], purge: Purge, stripe: FakeStripe, settings: Any) -> ForgettingStep:
    """What is left to be done ninety days after the erasing."""
    settings.STRIPE_FORGET = "redact"
    erased(purge)
    assert not Account.objects.exists()
    return ForgettingStep.objects.get(kind=StepKind.REDACT)


def looked_at(stripe: FakeStripe, at: datetime) -> ForgettingStep:
    """The step after the worker's look at `at`, with Stripe's clock there too."""
    stripe.advance(to=at)
    forget_due(at)
    return ForgettingStep.objects.get(kind=StepKind.REDACT)


def test_a_redaction_is_checked_run_and_waited_for_under_the_previews_version(
    redaction: ForgettingStep, customer: dict[str, Any], stripe: FakeStripe
) -> None:
    due = redaction.due_at
    assert looked_at(stripe, due - MINUTE).facts == {}, "not a minute before"
    first = looked_at(stripe, due)
    (job,) = stripe.redaction_jobs
    assert (first.facts, first.next_attempt_at, job["status"]) == ({"job": job["id"]}, due + 15 * MINUTE, "created")
    assert looked_at(stripe, due + 15 * MINUTE).done_at is None
    assert (job["status"], first.attempts) == ("redacting", 0), "waiting is no failure"
    assert looked_at(stripe, due + 30 * MINUTE).done_at is None
    done = looked_at(stripe, due + 90 * MINUTE)
    assert (done.done_at, done.facts) == (due + 90 * MINUTE, {"job": job["id"], "redacted": True})
    assert [invoice["customer_name"] for invoice in stripe.invoices] == ["[redacted]"]
    versions = {request.path.split("/")[2]: request.version for request in stripe.requests}
    assert versions.pop("privacy") == "2026-05-27.preview"
    assert set(versions.values()) == {"2026-05-27.dahlia"}
    assert remains(redaction.account_id) == []


def test_what_is_in_the_way_of_a_redaction_is_named_and_checked_again_until_it_is_gone(
    redaction: ForgettingStep, stripe: FakeStripe
) -> None:
    dispute = stripe.dispute(next(iter(stripe.invoices)))
    at = redaction.due_at
    looked_at(stripe, at)
    (job,) = stripe.redaction_jobs
    step = looked_at(stripe, at + 15 * MINUTE)
    assert step.last_error == f"Stripe can’t redact yet ({job['id']}): invalid_state {dispute['id']}"
    assert (job["status"], step.attempts) == ("validating", 1)
    stripe.close_dispute(dispute, "won")
    for _look in range(9):
        step = looked_at(stripe, step.next_attempt_at + 60 * MINUTE)
    assert step.done_at
    assert list(stripe.redaction_jobs) == [job], "the same one"


def test_a_redaction_that_somebody_has_cancelled_there_is_begun_anew(
    redaction: ForgettingStep, stripe: FakeStripe
) -> None:
    looked_at(stripe, redaction.due_at)
    (job,) = stripe.redaction_jobs
    job["status"] = "canceled"
    step = looked_at(stripe, redaction.due_at + 15 * MINUTE)
    assert step.last_error == f"Stripe’s redaction {job['id']} was cancelled there"
    for _look in range(5):
        step = looked_at(stripe, step.next_attempt_at + 60 * MINUTE)
    assert step.done_at
    assert [each["status"] for each in stripe.redaction_jobs] == ["canceled", "succeeded"]


def test_a_lost_answer_makes_no_second_redaction(redaction: ForgettingStep, stripe: FakeStripe) -> None:
    stripe.fail("POST /v1/privacy/*", disconnect=True, carried_out=True)
    step = looked_at(stripe, redaction.due_at)
    assert (step.facts, step.attempts) == ({}, 1)
    for _look in range(5):
        step = looked_at(stripe, step.next_attempt_at + 60 * MINUTE)
    assert step.done_at
    assert [each["status"] for each in stripe.redaction_jobs] == ["succeeded"]


def test_a_key_that_may_not_redact_says_which_right_it_lacks(
    redaction: ForgettingStep, stripe: FakeStripe, settings: Any
) -> None:
    stripe.restricted["rk_test_narrow"] = {"customer": "write"}
    settings.STRIPE_API_KEY = "rk_test_narrow"
    step = looked_at(stripe, redaction.due_at)
    assert step.last_error == "the key lacks the right rak_privacy_redaction_job_write"


def test_an_account_that_never_was_at_stripe_asks_nobody(account: Account, stripe: FakeStripe) -> None:
    from tests.accounts.erasure.purging import erase_all

    erase_all(account)
    assert stripe.count() == 0
    assert Certificate.objects.get().body["remains"] == []


def erased(purge: Purge, *, patience: int = 4) -> None:
    """Let the workers run for as many minutes as that takes."""
    for minute in range(patience):
        at = purge.due_at + minute * MINUTE
        purge.refresh_from_db()
        if Purge.objects.due(at).filter(pk=purge.pk).exists() and take_turn(purge, at) is True:
            break
        agreeing.agree_due(at)
        forget_due(at)
    purge.refresh_from_db()
    assert purge.verified_at, (
        purge.waiting_for,
        purge.last_error,
        [*ForgettingStep.objects.values("kind", "done_at", "last_error")],
    )
