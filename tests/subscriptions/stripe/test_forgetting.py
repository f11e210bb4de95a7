"""An account that is erased leaves nothing running at Stripe, and Stripe says so before anything is erased here."""

from datetime import timedelta
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
from subscriptions.stripe.forgetting import StepKind, forget_due
from tests.factories import NOW, subscribe
from tests.fakes.stripe import FakeStripe

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
    (left,) = Certificate.objects.get().body["remains"]
    assert left == {
        "where": "Stripe",
        "what": "invoices and payments as they were issued, with the name and address on them",
        "why": "tax and commerce law; GDPR art. 17(3)(b)",
        "until": f"{purge.due_at.year + 10}-{purge.due_at:%m-%d}",
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
