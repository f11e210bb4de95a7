"""What `manage.py` sells out of the box, as Stripe would have it: a product a plan, a price an interval."""

from typing import TYPE_CHECKING

from tests.fakes.stripe.spec import Json

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

#: As in the catalogue's migration: plan, interval, US cents for a seat.
SOLD = (("pro", "month", 49_00), ("pro", "year", 490_00), ("enterprise", "year", 1_200_00))


def sell_demo(stripe: "FakeStripe") -> list[Json]:
    """The prices of the plans, found by their products' metadata (`offboard_plan`)."""
    products: dict[str, Json] = {}
    for plan, _, _ in SOLD:
        if plan not in products:
            products[plan] = stripe.product(plan.capitalize(), metadata={"offboard_plan": plan})
    return [
        stripe.price(
            cents,
            interval=interval,
            product=products[plan],
            lookup_key=f"{plan}_{'monthly' if interval == 'month' else 'annual'}",
        )
        for plan, interval, cents in SOLD
    ]
