"""What is read out of what GitHub says, and what is told where that fails (facts/github-marketplace, 1.4 to 1.6)."""

from datetime import date
from typing import Any

import pytest

from marketplace.github.payloads import UnreadablePayload, read_message, read_plan, read_subscription

ACCOUNT = {"id": 99, "login": "harbour", "type": "Organization"}
PLAN = {"id": 7, "name": "Pro", "monthly_price_in_cents": 900, "price_model": "flat-rate"}
HELD = {"billing_cycle": "yearly", "unit_count": 3, "next_billing_date": "2026-04-17T00:00:00Z", "plan": PLAN}


def message(**changes: object) -> dict[str, Any]:
    return {"action": "changed", "marketplace_purchase": {**HELD, "account": ACCOUNT, **changes}}


def test_what_is_there_and_cannot_be_read_is_named_in_the_order_of_the_fields() -> None:
    odd = {**message(free_trial_ends_on="soon", next_billing_date=5), "effective_date": "next week"}
    read = read_message(odd)
    assert read.unreadable == ("effective_date", "free_trial_ends_on", "next_billing_date")
    assert read.purchase
    assert (read.purchase.yearly, read.purchase.seats, read.purchase.next_billing_on) == (True, 3, None)


@pytest.mark.parametrize("plan", [None, "Pro", {}, {"id": True}, {"id": "7"}, {"id": 0}, {"id": 2**63}])
def test_a_plan_that_makes_no_sense_is_none_in_a_message(plan: object) -> None:
    assert read_message(message(plan=plan)).purchase is None


@pytest.mark.parametrize(
    ("told", "seats"), [(None, 1), (0, 1), (-1, 1), ("3", 1), (True, 1), (3, 3), (2_000_000, 1_000_000), (2**31, 1)]
)
def test_seats_are_at_least_one_and_no_more_than_a_customer_has(told: object, seats: int) -> None:
    purchase = read_message(message(unit_count=told)).purchase
    assert purchase
    assert purchase.seats == seats


def test_both_shapes_of_rest_say_the_same() -> None:
    nested, flat = {**HELD, "account": ACCOUNT}, {**ACCOUNT, "marketplace_purchase": HELD}
    assert read_subscription(nested) == read_subscription(flat)
    purchase, pending = read_subscription(flat)
    assert (purchase.buyer.id, purchase.plan.price_model, purchase.next_billing_on, pending) == (
        99,
        "flat_rate",
        date(2026, 4, 17),
        None,
    )


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ({**ACCOUNT, "marketplace_purchase": {}}, "marketplace_purchase.plan"),
        ({**ACCOUNT, "marketplace_purchase": {"plan": {}}}, "marketplace_purchase.plan.id"),
        ({**ACCOUNT, "id": None, "marketplace_purchase": HELD}, "account.id"),
        (
            {**ACCOUNT, "marketplace_purchase": HELD, "marketplace_pending_change": {"plan": {}}},
            "marketplace_pending_change.plan.id",
        ),
    ],
)
def test_what_an_answer_lacks_is_named_by_its_place(answer: dict[str, Any], missing: str) -> None:
    with pytest.raises(UnreadablePayload, match=rf"^`{missing}` is missing\.$"):
        read_subscription(answer)


def test_what_a_message_or_a_plan_lacks_is_named_by_its_place() -> None:
    with pytest.raises(UnreadablePayload, match=r"^`marketplace_purchase` is missing\.$"):
        read_message({"action": "changed"})
    with pytest.raises(UnreadablePayload, match=r"^`marketplace_purchase\.account` is missing\.$"):
        read_message(message(account=None))
    with pytest.raises(UnreadablePayload, match=r"^`plan\.id` is missing\.$"):
        read_plan({"name": "Pro"})
