"""Playing Stripe by hand: `POST /_control/{verb}` with JSON, `GET /_control/state`."""

from typing import TYPE_CHECKING

from tests.fakes.stripe.calls import Answer, Call

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe


def respond(stripe: "FakeStripe", call: Call) -> Answer:
    return Answer(404, {"error": {"message": "Not yet."}})
