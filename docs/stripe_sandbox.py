"""What Offboard expects of Stripe, tried in a sandbox of yours with test clocks (docs/stripe.md).

    STRIPE_API_KEY=sk_test_… .venv/bin/python docs/stripe_sandbox.py

Takes some minutes: months pass there. It makes what it needs (clocks, customers, one price), says line by line what it
saw and whether that is what Offboard is written for, and takes its customers away again; the price stays, archived. No
database and no settings of Offboard's are needed. A key of live mode is refused. Ends with 0 if all was as expected.

Each step makes the calls that Offboard makes at that point, in its words: the version, the parameters, what of the
answer counts. What it can't do is click: see "What no script can try" in docs/stripe.md.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import stripe
from stripe._v1_services import V1Services

#: As `subscriptions.stripe.client`, `redaction` and `forgetting_calls` have them: a test holds them together.
API_VERSION = "2026-05-27.dahlia"
PREVIEW_VERSION = "2026-05-27.preview"
BLANK: Any = {
    "name": "",
    "business_name": "",
    "individual_name": "",
    "email": "",
    "phone": "",
    "address": "",
    "shipping": "",
    "description": "",
    "metadata": "",
    "tax": {"ip_address": ""},
    "invoice_settings": {"custom_fields": "", "footer": ""},
}
HOUR, DAY = 3600, 86_400
#: Seconds between looks at a clock that is being advanced, and how long that may take.
LOOK, PATIENCE = 2.0, 300.0

Json = dict[str, Any]


class Sandbox:
    """A Stripe sandbox, and what was found out about it."""

    def __init__(self, key: str, url: str) -> None:
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": url},
            stripe_version=API_VERSION,
            max_network_retries=2,
            http_client=stripe.RequestsClient(timeout=30),
        )
        self.run = f"{int(time.time())}"
        self.as_expected = self.different = self.not_tried = 0
        self.clocks: list[str] = []
        self._keys = 0

    # What it says

    def title(self, text: str) -> None:
        say(f"\n{text}")

    def expect(self, what: str, saw: object, expected: object) -> None:
        """Hold what was seen against what Offboard expects."""
        if saw == expected:
            self.as_expected += 1
            say(f"  as expected  {what}: {saw}")
        else:
            self.different += 1
            say(f"  DIFFERENT    {what}: saw {saw!r}, expected {expected!r}")

    def could_not(self, what: str, why: object) -> None:
        self.not_tried += 1
        say(f"  not tried    {what}: {why}")

    # How it asks

    def ask(self, call: Callable[[V1Services], Any]) -> Json:
        answer: Json = call(self._client.v1).to_dict()
        return answer

    def refusal(self, call: Callable[[V1Services], Any]) -> tuple[str, str]:
        """How Stripe says no: code and sentence. Empty if it does not."""
        try:
            self.ask(call)
        except stripe.InvalidRequestError as error:
            said = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
            return str(said.get("code") or ""), str(said.get("message") or "")
        return "", ""

    def preview(self, method: Any, path: str, given: Json | None = None) -> Json:
        return self.ask(
            lambda v1: v1._request(method, path, given, {"stripe_version": PREVIEW_VERSION}, base_address="api")
        )

    def key(self) -> Any:
        """An idempotency key that nobody has used."""
        self._keys += 1
        return {"idempotency_key": f"offboard-sandbox:{self.run}:{self._keys}"}

    # What it needs

    def clock(self, name: str) -> Json:
        made = self.ask(
            lambda v1: v1.test_helpers.test_clocks.create({"frozen_time": int(time.time()), "name": f"Offboard {name}"})
        )
        self.clocks.append(made["id"])
        return made

    def advance(self, clock: Json, to: int) -> None:
        """Let that clock's time pass, and wait until Stripe has done all that is due by then."""
        self.ask(lambda v1: v1.test_helpers.test_clocks.advance(clock["id"], {"frozen_time": to}))
        stop = time.monotonic() + PATIENCE
        while time.monotonic() < stop:
            status = self.ask(lambda v1: v1.test_helpers.test_clocks.retrieve(clock["id"]))["status"]
            if status == "ready":
                return
            if status != "advancing":
                raise SystemExit(f"The clock {clock['id']} is {status}.")
            time.sleep(LOOK)
        raise SystemExit(f"The clock {clock['id']} is still not there after {PATIENCE:.0f} s.")

    def remove(self, clock: str) -> None:
        """The clock, and the customers that hang on it."""
        self.ask(lambda v1: v1.test_helpers.test_clocks.delete(clock))

    def customer(self, clock: Json) -> Json:
        return self.ask(
            lambda v1: v1.customers.create(
                {
                    "name": "Ada Lovelace",
                    "email": "ada@example.com",
                    "phone": "+15555550100",
                    "description": "Offboard's sandbox script",
                    "metadata": {"offboard_account": "00000000-0000-4000-8000-000000000000"},
                    "test_clock": clock["id"],
                    "payment_method": "pm_card_visa",
                    "invoice_settings": {"default_payment_method": "pm_card_visa"},
                },
                self.key(),
            )
        )

    def subscribe(self, customer: Json, price: Json) -> Json:
        return self.ask(
            lambda v1: v1.subscriptions.create(
                {
                    "customer": customer["id"],
                    "items": [{"price": price["id"], "quantity": 2}],
                    "metadata": {"offboard_account": "00000000-0000-4000-8000-000000000000"},
                },
                self.key(),
            )
        )

    def subscription(self, it: Json) -> Json:
        return self.ask(lambda v1: v1.subscriptions.retrieve(it["id"], {"expand": ["latest_invoice.payments"]}))

    def update(self, it: Json, changes: Any) -> Json:
        return self.ask(lambda v1: v1.subscriptions.update(it["id"], changes, self.key()))

    def end(self, it: Json) -> Json:
        return self.ask(
            lambda v1: v1.subscriptions.cancel(it["id"], {"prorate": False, "invoice_now": False}, self.key())
        )


def period(it: Json) -> tuple[int, int]:
    """Periods stand on items."""
    item = it["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a command


# The life of a subscription


def buying(box: Sandbox, customer: Json, price: Json) -> Json:
    box.title("Buying")
    session = box.ask(
        lambda v1: v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer["id"],
                "line_items": [{"price": price["id"], "quantity": 2}],
                "success_url": "https://example.com/?session={CHECKOUT_SESSION_ID}",
                "client_reference_id": "purchase-1",
                "subscription_data": {"metadata": {"offboard_account": "…"}},
            },
            box.key(),
        )
    )
    box.expect(
        "a Checkout session is open, and leads somewhere", (session["status"], bool(session["url"])), ("open", True)
    )
    expired = box.ask(lambda v1: v1.checkout.sessions.expire(session["id"], {}, box.key()))
    box.expect("it can be expired", expired["status"], "expired")
    bought = box.subscribe(customer, price)
    box.expect("what is bought is active", bought["status"], "active")
    box.expect("it is billed in flexible mode", bought["billing_mode"]["type"], "flexible")
    box.expect("the period stands on the item, not on the subscription", "current_period_end" in bought, False)
    listed = box.ask(lambda v1: v1.subscriptions.list({"customer": customer["id"], "status": "all", "limit": 100}))
    box.expect("the customer's list has it at once", [each["id"] for each in listed["data"]], [bought["id"]])
    (invoice,) = box.ask(lambda v1: v1.invoices.list({"subscription": bought["id"], "expand": ["data.payments"]}))[
        "data"
    ]
    box.expect("its invoice names it", invoice["parent"]["subscription_details"]["subscription"], bought["id"])
    box.expect("and is paid", (invoice["status"], invoice["amount_paid"]), ("paid", 9800))
    box.expect(
        "by a payment intent", [each["payment"]["type"] for each in invoice["payments"]["data"]], ["payment_intent"]
    )
    return bought


def cancelling_and_keeping(box: Sandbox, it: Json) -> None:
    box.title("Cancelling, keeping, cancelling")
    end = period(it)[1]
    wish = {"cancel_at_period_end": True, "cancellation_details": {"feedback": "too_expensive"}}
    said = box.update(it, wish)
    seen = (said["cancel_at_period_end"], said["cancel_at"], said["status"])
    box.expect("it ends with its period, and the answer says when", seen, (True, end, "active"))
    box.expect("the reason is kept", said["cancellation_details"]["feedback"], "too_expensive")
    said = box.update(it, {"cancel_at_period_end": False})
    box.expect("kept: both fields are clear", (said["cancel_at_period_end"], said["cancel_at"]), (False, None))
    both = box.refusal(lambda v1: v1.subscriptions.update(it["id"], {"cancel_at_period_end": False, "cancel_at": ""}))
    box.expect("both fields in one request are refused", "both cancel_at_period_end and cancel_at" in both[1], True)
    key = box.key()
    again: Any = {"cancel_at_period_end": True}
    box.ask(lambda v1: v1.subscriptions.update(it["id"], again, key))
    box.update(it, {"cancel_at_period_end": False})
    replayed = box.ask(lambda v1: v1.subscriptions.update(it["id"], again, key))
    box.expect("a key that was used answers as it did", replayed["cancel_at_period_end"], True)
    box.expect("and changes nothing", box.subscription(it)["cancel_at_period_end"], False)
    # As the portal does it under flexible billing.
    said = box.update(it, {"cancel_at": end, "proration_behavior": "none"})
    box.expect("an end by date leaves the flag alone", (said["cancel_at_period_end"], said["cancel_at"]), (False, end))
    said = box.update(it, {"cancel_at": ""})
    box.expect("and an empty text clears it", said["cancel_at"], None)
    box.expect("the period is as it was", period(said)[1], end)


def scheduled(box: Sandbox, it: Json) -> None:
    box.title("Under a schedule")
    schedule = box.ask(lambda v1: v1.subscription_schedules.create({"from_subscription": it["id"]}, box.key()))
    refused = box.refusal(lambda v1: v1.subscriptions.update(it["id"], {"cancel_at_period_end": True}))
    box.expect("cancelling is refused, and the schedule named", "subscription schedule" in refused[1], True)
    released = box.ask(lambda v1: v1.subscription_schedules.release(schedule["id"], {}, box.key()))
    box.expect(
        "released, it runs on without one", (released["status"], box.subscription(it)["schedule"]), ("released", None)
    )


def too_late(box: Sandbox, clock: Json, it: Json) -> None:
    box.title("Cancelled when the next period has begun: the hour of the draft")
    end = period(it)[1]
    box.advance(clock, end + HOUR // 4)
    rolled = box.subscription(it)
    draft = rolled["latest_invoice"]
    box.expect("the period has rolled over", period(rolled)[0], end)
    seen = (draft["billing_reason"], draft["status"], draft["auto_advance"])
    box.expect("its renewal is a draft", seen, ("subscription_cycle", "draft", True))
    said = box.update(it, {"cancel_at_period_end": True})
    box.expect(
        "to end with the period means the next one now: the answer shows it", said["cancel_at"], period(rolled)[1]
    )
    box.expect("ended at once", box.end(it)["status"], "canceled")
    left = box.ask(lambda v1: v1.invoices.retrieve(draft["id"]))
    box.expect(
        "the draft stays, and is not finalized by itself", (left["status"], left["auto_advance"]), ("draft", False)
    )
    voided = box.refusal(lambda v1: v1.invoices.void_invoice(draft["id"]))
    box.expect("it can't be voided", bool(voided[1]), True)
    twice = box.refusal(lambda v1: v1.subscriptions.cancel(it["id"]))
    box.expect("ending it again says that there is none", twice[0], "resource_missing")
    revived = box.refusal(lambda v1: v1.subscriptions.update(it["id"], {"cancel_at_period_end": False}))
    box.expect("and nothing brings it back", "canceled subscription can only update" in revived[1], True)
    box.advance(clock, end + 3 * HOUR)
    still = box.ask(lambda v1: v1.invoices.retrieve(draft["id"]))
    box.expect("hours later nothing is paid for it", (still["status"], still["amount_paid"]), ("draft", 0))


def charged_too_late(box: Sandbox, clock: Json, it: Json) -> None:
    box.title("Cancelled when the next period is paid: paid back, once")
    box.advance(clock, period(it)[1] + 2 * HOUR)
    renewal = box.subscription(it)["latest_invoice"]
    box.expect("the renewal is paid", (renewal["billing_reason"], renewal["status"]), ("subscription_cycle", "paid"))
    box.expect("ended at once", box.end(it)["status"], "canceled")
    intent = renewal["payments"]["data"][0]["payment"]["payment_intent"]
    there = box.ask(lambda v1: v1.refunds.list({"payment_intent": intent}))
    box.expect("nobody has paid it back", there["data"], [])
    asked: Any = {
        "payment_intent": intent,
        "amount": renewal["amount_paid"],
        "reason": "requested_by_customer",
        "metadata": {"offboard_refund": "REF-SANDBOX"},
    }
    made = box.ask(lambda v1: v1.refunds.create(asked, box.key()))
    box.expect("the refund is taken on", made["status"] in ("succeeded", "pending"), True)
    found = box.ask(lambda v1: v1.refunds.list({"payment_intent": intent}))["data"]
    box.expect(
        "and found by our metadata", [each["metadata"].get("offboard_refund") for each in found], ["REF-SANDBOX"]
    )
    again = box.refusal(lambda v1: v1.refunds.create(asked, box.key()))
    box.expect("with another key it is refused", again[0], "charge_already_refunded")


def past_due(box: Sandbox, clock: Json, customer: Json, it: Json) -> None:
    box.title("A card that fails: past due, left, nothing owed")
    method = box.ask(lambda v1: v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer["id"]}))
    box.ask(
        lambda v1: v1.customers.update(
            customer["id"], {"invoice_settings": {"default_payment_method": method["id"]}}, box.key()
        )
    )
    box.advance(clock, period(it)[1] + 2 * HOUR)
    late = box.subscription(it)
    renewal = late["latest_invoice"]
    box.expect("it is past due, and its renewal open", (late["status"], renewal["status"]), ("past_due", "open"))
    box.expect("the period has moved without a payment", period(late)[0], period(it)[1])
    box.expect("ended at once", box.end(it)["status"], "canceled")
    box.expect(
        "the renewal is not tried again", box.ask(lambda v1: v1.invoices.retrieve(renewal["id"]))["auto_advance"], False
    )
    voided = box.ask(lambda v1: v1.invoices.void_invoice(renewal["id"], options=box.key()))
    box.expect("and can be voided", voided["status"], "void")


def portal(box: Sandbox, customer: Json) -> None:
    box.title("The portal")
    try:
        made = box.ask(
            lambda v1: v1.billing_portal.sessions.create(
                {"customer": customer["id"], "return_url": "https://example.com/"}, box.key()
            )
        )
    except stripe.InvalidRequestError as error:
        box.could_not("a portal session", f"{error.user_message} (docs/stripe.md, step 4)")
        return
    box.expect("a session leads somewhere", made["url"].startswith("http"), True)


def reading(box: Sandbox) -> None:
    box.title("What reconciliation reads")
    asked: Any = {"delivery_success": False, "types": ["invoice.paid", "customer.subscription.deleted"], "limit": 1}
    box.expect("events that were not delivered", box.ask(lambda v1: v1.events.list(asked))["object"], "list")
    all_of_it: Any = {"status": "all", "expand": ["data.customer"], "limit": 1}
    box.expect("all subscriptions", box.ask(lambda v1: v1.subscriptions.list(all_of_it))["object"], "list")


def forgetting(box: Sandbox, customer: Json) -> None:
    box.title("Forgetting")
    who = customer["id"]
    setup = box.ask(lambda v1: v1.setup_intents.create({"customer": who}, box.key()))
    gone = box.ask(lambda v1: v1.setup_intents.cancel(setup["id"], options=box.key()))
    box.expect("an unfinished set-up is called off", gone["status"], "canceled")
    intent = box.ask(
        lambda v1: v1.payment_intents.create({"customer": who, "amount": 1200, "currency": "usd"}, box.key())
    )
    gone = box.ask(lambda v1: v1.payment_intents.cancel(intent["id"], options=box.key()))
    box.expect("an unfinished payment is called off", gone["status"], "canceled")
    tax_id = box.ask(lambda v1: v1.customers.tax_ids.create(who, {"type": "eu_vat", "value": "DE123456789"}, box.key()))
    box.ask(lambda v1: v1.customers.tax_ids.delete(who, tax_id["id"]))
    box.expect("tax ids can be deleted", box.ask(lambda v1: v1.customers.tax_ids.list(who))["data"], [])
    (card,) = box.ask(lambda v1: v1.customers.payment_methods.list(who))["data"]
    box.ask(lambda v1: v1.payment_methods.detach(card["id"], options=box.key()))
    box.expect("cards come off", box.ask(lambda v1: v1.customers.payment_methods.list(who))["data"], [])
    said = box.ask(lambda v1: v1.customers.update(who, BLANK, box.key()))
    telling = ("name", "business_name", "individual_name", "email", "phone", "address", "shipping", "description")
    box.expect("empty texts blank the customer", [name for name in telling if said.get(name)], [])
    box.expect("and its metadata", said["metadata"], {})
    names = {each["customer_name"] for each in box.ask(lambda v1: v1.invoices.list({"customer": who}))["data"]}
    box.expect("invoices keep the name", "Ada Lovelace" in names, True)
    redacting(box, who)
    box.expect("the customer can be deleted", box.ask(lambda v1: v1.customers.delete(who)).get("deleted"), True)
    box.expect("and is answered for as deleted", box.ask(lambda v1: v1.customers.retrieve(who)).get("deleted"), True)
    left = box.ask(lambda v1: v1.subscriptions.list({"customer": who, "status": "all"}))["data"]
    box.expect("its subscriptions are still listed", bool(left), True)


def redacting(box: Sandbox, customer: str) -> None:
    """A public preview, that an account may not have. Never run here: it can't be undone."""
    path = "/v1/privacy/redaction_jobs"
    try:
        job = box.preview("post", path, {"objects": {"customers": [customer]}, "validation_behavior": "error"})
    except stripe.StripeError as error:
        box.could_not("a redaction job", error.user_message or type(error).__name__)
        return
    box.expect("a redaction job is made under the preview's version", job["status"] in ("created", "validating"), True)
    known = ("created", "validating", "ready", "failed")
    box.expect("and can be asked about", box.preview("get", f"{path}/{job['id']}")["status"] in known, True)
    errors = box.preview("get", f"{path}/{job['id']}/validation_errors")
    box.expect("with what is in its way", errors["object"], "list")


def walk(box: Sandbox) -> None:
    """All of it. A clock for each life whose time is to pass: Stripe lets few hang on one."""
    with _price(box) as price:
        clock = box.clock("one")
        ada = box.customer(clock)
        bought = buying(box, ada, price)
        cancelling_and_keeping(box, bought)
        scheduled(box, bought)
        portal(box, ada)
        reading(box)
        too_late(box, clock, bought)
        clock = box.clock("two")
        charged_too_late(box, clock, box.subscribe(box.customer(clock), price))
        clock = box.clock("three")
        joan = box.customer(clock)
        past_due(box, clock, joan, box.subscribe(joan, price))
        forgetting(box, ada)


def main() -> int:
    key, url = os.environ.get("STRIPE_API_KEY", ""), os.environ.get("STRIPE_API_URL", "https://api.stripe.com")
    if not key.startswith(("sk_test_", "rk_test_")):
        sys.stderr.write("STRIPE_API_KEY must be a sandbox's key, sk_test_… or rk_test_…: nothing was asked.\n")
        return 2
    stripe.enable_telemetry = False
    box = Sandbox(key, url)
    try:
        walk(box)
    finally:
        # With its customers.
        for clock in box.clocks:
            box.remove(clock)
    say(f"\n{box.as_expected} as expected, {box.different} different, {box.not_tried} not tried.")
    return 1 if box.different else 0


@contextmanager
def _price(box: Sandbox) -> Iterator[Json]:
    """A monthly price of $49, archived afterwards: Stripe deletes no price that was used."""
    made = box.ask(
        lambda v1: v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 4900,
                "recurring": {"interval": "month"},
                "product_data": {"name": "Offboard's sandbox script"},
            },
            box.key(),
        )
    )
    try:
        yield made
    finally:
        box.ask(lambda v1: v1.prices.update(made["id"], {"active": False}))


if __name__ == "__main__":
    sys.exit(main())
