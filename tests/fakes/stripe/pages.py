"""What a browser sees: Checkout, the portal, an invoice's page. (Plain: they are for clicking.)"""

from typing import TYPE_CHECKING

from tests.fakes.stripe.calls import Answer, Call

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe


def respond(stripe: "FakeStripe", call: Call) -> Answer:
    return Answer(404, "<p>Nothing here.")
