"""A Stripe to test against: Billing, Checkout, the portal and webhooks, in memory, over HTTP, with a clock.

    with FakeStripe() as stripe:
        pro = stripe.price(4900, lookup_key="pro_monthly")
        buyer = stripe.customer(email="olga@example.org")
        bought = stripe.subscribe(buyer, pro, quantity=3)
        stripe.portal_cancel(bought, feedback="unused")
        for delivery in stripe.take():                  # signed; body and headers
            delivery.post(f"{site}/billing/stripe/webhook/")
        stripe.advance(days=31)                         # ends, renewals, retries ...
        stripe.fail("POST /v1/subscriptions/*", disconnect=True, carried_out=True)

`STRIPE_API_URL` is `stripe.url`, `STRIPE_API_KEY` is `stripe.api_key`, `STRIPE_WEBHOOK_SECRETS` is
`stripe.webhook_secrets`. Objects are dicts as Stripe shows them, and change in place. `python -m tests.fakes.stripe`
runs it beside `make run`. It speaks one version, `VERSION`, answers in the shapes of Stripe's published description,
and takes no parameter that is not in it.

Where what is: `payments` (invoices, charges, refunds, disputes, credit notes), `subscriptions` (prices, periods, ends;
acts of portal and dashboard), `selling` (Checkout, portal, schedules), `clock` (`advance`), `deliveries` (webhooks),
`traffic` (what was asked, what must fail); `spec` is Stripe's description; `routes`, `listing`, `pages` and `server`
are HTTP; `control` is for playing it by hand.
"""

from tests.fakes.stripe.deliveries import Delivery, sign
from tests.fakes.stripe.fake import FakeStripe
from tests.fakes.stripe.spec import VERSION
from tests.fakes.stripe.traffic import Fault, Request

__all__ = ["VERSION", "Delivery", "FakeStripe", "Fault", "Request", "sign"]
