"""Test clocks, as sandboxes have them. Here is one time for all: advancing any of them advances it."""

from typing import TYPE_CHECKING

from tests.fakes.stripe.refusals import invalid, missing
from tests.fakes.stripe.routes import endpoint
from tests.fakes.stripe.spec import Json, blank
from tests.fakes.stripe.state import DAY

if TYPE_CHECKING:
    from tests.fakes.stripe.calls import Call
    from tests.fakes.stripe.fake import FakeStripe


def _clock(stripe: "FakeStripe", call: "Call") -> Json:
    found = stripe.test_clocks.get(call.ids[0])
    if not found:
        raise missing("test_clock", call.ids[0], "test_clock")
    return found


def make(stripe: "FakeStripe", *, frozen_time: int, name: str | None = None) -> Json:
    return stripe.add(
        blank(
            "test_helpers.test_clock",
            id=stripe.new_id("clock"),
            object="test_helpers.test_clock",
            created=stripe._now,
            deletes_after=stripe._now + 30 * DAY,
            frozen_time=frozen_time,
            livemode=stripe.livemode,
            name=name,
            status="ready",
            status_details={},
        )
    )


@endpoint("POST /v1/test_helpers/test_clocks")
def create_clock(stripe: "FakeStripe", call: "Call") -> Json:
    return make(stripe, frozen_time=call.given["frozen_time"], name=call.given.get("name"))


@endpoint("GET /v1/test_helpers/test_clocks/{test_clock}")
def get_clock(stripe: "FakeStripe", call: "Call") -> Json:
    return _clock(stripe, call)


@endpoint("POST /v1/test_helpers/test_clocks/{test_clock}/advance")
def advance_clock(stripe: "FakeStripe", call: "Call") -> Json:
    clock, to = _clock(stripe, call), call.given["frozen_time"]
    if to <= clock["frozen_time"]:
        raise invalid("A test clock can only go forward.", "frozen_time")
    stripe.advance(to)
    clock["frozen_time"] = to
    return clock


@endpoint("DELETE /v1/test_helpers/test_clocks/{test_clock}")
def delete_clock(stripe: "FakeStripe", call: "Call") -> Json:
    """With the customers that hang on it."""
    clock = _clock(stripe, call)
    stripe.test_clocks.remove(clock)
    for customer in stripe.customers:
        if customer.get("test_clock") == clock["id"]:
            stripe.delete_customer(customer)
    return {"id": clock["id"], "object": "test_helpers.test_clock", "deleted": True}
