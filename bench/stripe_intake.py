"""stripe_intake: what accepting a Stripe delivery costs, as a share of the floor in the same run.

Measured as `bench.intake` measures GitHub's, on the same web server, of POST /billing/stripe/webhook/. Deliveries are
what Stripe sends when a subscription has changed, about 4 kB, each signed anew; every tenth is the one before it again.
The floor checks one HMAC and reads the event, for Stripe's messages say in the body alone what they are called.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator

from django.urls import reverse

from accounts.core import clock
from bench import intake
from bench.door.github import REPEATED_EVERY, Delivery
from bench.measuring import Result
from bench.stage import Stage
from subscriptions.stripe.client import API_VERSION
from subscriptions.stripe.signature import sign

SECRET = "whsec_bench"  # noqa: S105  # opens nothing but this run's own server
CONTENT_TYPE = "application/json; charset=utf-8"
EVENT_ID, CUSTOMER = "evt_1BenchBenchBench", "cus_BenchBenchBen"


def run(stage: Stage) -> Result:
    """Compare Stripe's webhook with its floor, and with itself while Redis is away."""
    return intake.compared(stage, with_repetitions)


def with_repetitions(count: int) -> Iterator[Delivery]:
    """So many events, each of another customer, but that every tenth is the one before it again."""
    customer = 0
    while count > 0:
        customer += 1
        once = _delivery(customer)
        for _time in range(2 if customer % (REPEATED_EVERY - 1) == 0 else 1):
            yield once
            count -= 1


def _delivery(customer: int) -> Delivery:
    guid = f"evt_{uuid.uuid4().hex}"
    whose = f"cus_{customer:013d}"
    body = _BODY.replace(EVENT_ID.encode(), guid.encode()).replace(CUSTOMER.encode(), whose.encode())
    head = (
        f"POST {reverse('stripe_webhook')} HTTP/1.1\r\nHost: testserver\r\nAccept: */*\r\n"
        f"User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nStripe-Signature: {sign(SECRET, body, clock.now())}\r\n\r\n"
    )
    return Delivery(guid, whose, body, hashlib.sha256(body).digest(), head.encode() + body)


def _subscription() -> dict[str, object]:
    """A subscription as an event shows it."""
    price = {
        "id": "price_1BenchBenchBench",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": 1_769_860_800,
        "currency": "usd",
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": "pro-monthly",
        "metadata": {},
        "nickname": None,
        "product": "prod_BenchBenchBen",
        "recurring": {
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 4900,
        "unit_amount_decimal": "4900",
    }
    empty = (
        "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at "
        "default_payment_method default_source description ended_at next_pending_invoice_item_invoice on_behalf_of "
        "pause_collection pending_invoice_item_interval pending_setup_intent pending_update schedule test_clock "
        "transfer_data trial_end trial_start"
    )
    return {
        "id": "sub_1BenchBenchBench",
        "object": "subscription",
        **dict.fromkeys(empty.split()),
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": 1_769_860_800,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": 1_769_860_800,
        "currency": "usd",
        "customer": CUSTOMER,
        "days_until_due": None,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [
                {
                    "id": "si_BenchBenchBench",
                    "object": "subscription_item",
                    "billing_thresholds": None,
                    "created": 1_769_860_800,
                    "current_period_end": 1_772_280_000,
                    "current_period_start": 1_769_860_800,
                    "discounts": [],
                    "metadata": {},
                    "plan": price,
                    "price": price,
                    "quantity": 3,
                    "subscription": "sub_1BenchBenchBench",
                    "tax_rates": [],
                }
            ],
            "has_more": False,
            "total_count": 1,
            "url": "/v1/subscription_items?subscription=sub_1BenchBenchBench",
        },
        "latest_invoice": "in_1BenchBenchBench",
        "livemode": False,
        "metadata": {"offboard_account": "2b0ac5d2-6cf0-4c5d-9d9f-3cfbe1b4a1d7"},
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": 1_769_860_800,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


#: As Stripe writes it, indented; the event's id and the customer's are put in for each delivery.
_BODY = json.dumps(
    {
        "id": EVENT_ID,
        "object": "event",
        "api_version": API_VERSION,
        "created": 1_772_280_000,
        "data": {"object": _subscription(), "previous_attributes": {"latest_invoice": "in_1BenchBenchBefore"}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "customer.subscription.updated",
    },
    indent=2,
).encode()
