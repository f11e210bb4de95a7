"""The endpoints. Each has the path of Stripe's description, which says what may be sent there."""

import re
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.fakes.stripe import redaction, spec
from tests.fakes.stripe.calls import Answer, Call
from tests.fakes.stripe.listing import expanded, line_items, page, within
from tests.fakes.stripe.payments import CARDS
from tests.fakes.stripe.refusals import Refused, invalid, missing
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.state import copied
from tests.fakes.stripe.subscriptions import OVER, merge_metadata

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

Endpoint = Callable[["FakeStripe", Call], Json]
ENDPOINTS: list[tuple[str, str, re.Pattern[str], Endpoint, str]] = []

#: What the permission of a restricted key is called, by the first part of a path.
PERMISSIONS = {
    "customers": "customer",
    "products": "product",
    "prices": "plan",
    "subscriptions": "subscription",
    "subscription_items": "subscription",
    "subscription_schedules": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "charges": "charge",
    "refunds": "charge",
    "credit_notes": "credit_note",
    "disputes": "dispute",
    "checkout": "checkout_session",
    "billing_portal": "customer_portal",
    "events": "event",
    "webhook_endpoints": "webhook",
    "privacy": "privacy_redaction_job",
    "setup_intents": "setup_intent",
    "test_helpers": "billing_clock",
    "account": "accounts_kyc_basic",
}


def endpoint(line: str) -> Callable[[Endpoint], Endpoint]:
    method, template = line.split()
    resource = template.split("/")[2]

    def known(function: Endpoint) -> Endpoint:
        pattern = re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", template) + "$")
        ENDPOINTS.append((method, template, pattern, function, PERMISSIONS[resource]))
        return function

    return known


def respond(stripe: "FakeStripe", call: Call) -> Answer:
    """Carries a call out, under the lock. Its idempotency is the caller's."""
    try:
        return Answer(200, _carried_out(stripe, call))
    except Refused as refused:
        return Answer(refused.status, {"error": refused.error})
    except spec.Unacceptable as refused:
        error: Json = {"type": "invalid_request_error", "message": refused.message}
        if refused.code:
            error["code"] = refused.code
        if refused.param:
            error["param"] = refused.param
        return Answer(400, {"error": error})
    except Exception as mistake:
        # A mistake of this fake: said where a failing test shows it.
        traceback.print_exc()
        message = f"The fake Stripe is wrong: {mistake!r} at {call.method} {call.path}"
        return Answer(500, {"error": {"type": "api_error", "message": message}})


def _carried_out(stripe: "FakeStripe", call: Call) -> Json:
    check_key(stripe, call)
    if call.path.startswith("/v1/privacy/"):
        redaction.check_version(call)
    elif call.version and call.version != spec.VERSION:
        raise invalid(f"Invalid Stripe API version: {call.version}. This Stripe speaks {spec.VERSION} only.")
    for method, template, pattern, function, permission in ENDPOINTS:
        matched = pattern.match(call.path)
        if method != call.method or not matched:
            continue
        check_permission(stripe, call, permission)
        call.ids = matched.groups()
        if template in spec.document()["paths"]:
            call.given = spec.understand(method, template, call.given)
        answer = copied(function(stripe, call))
        return expanded(stripe, answer, call.given.get("expand", []))
    raise Refused(404, f"Unrecognized request URL ({call.method}: {call.path}). Please see https://stripe.com/docs.")


def check_key(stripe: "FakeStripe", call: Call) -> None:
    if not call.key:
        raise Refused(401, "You did not provide an API key.")
    shown = call.key[:8] + "*" * 8 + call.key[-4:]
    if call.key in stripe.revoked:
        raise Refused(401, f"Expired API Key provided: {shown}", code="api_key_expired")
    if call.key != stripe.api_key and call.key not in stripe.restricted:
        raise Refused(401, f"Invalid API Key provided: {shown}")


def check_permission(stripe: "FakeStripe", call: Call, permission: str) -> None:
    if call.key not in stripe.restricted:
        return
    wanted = "read" if call.method == "GET" else "write"
    held = stripe.restricted[call.key].get(permission, "none")
    if held == "write" or held == wanted:
        return
    shown = call.key[:8] + "*" * 8 + call.key[-4:]
    raise Refused(
        403,
        f"The provided key '{shown}' does not have the required permissions for this endpoint on account "
        f"'{stripe.account_id}'. Having the 'rak_{permission}_{wanted}' permission would allow this request to "
        "continue.",
        code="more_permissions_required",
    )


def _one(collection: Any, id: str, kind: str, param: str = "id") -> Json:
    found: Json | None = collection.get(id)
    if not found:
        raise missing(kind, id, param)
    return found


def _all(call: Call, collection: Any, *fields: str, keep: Callable[[Json], bool] = lambda thing: True) -> Json:
    """A list narrowed by these fields, the first of which that was sent is an index, and by `created`."""
    given = call.given
    among = None
    indexed = ("customer", "subscription", "invoice", "payment_intent", "charge", "product")
    for name in fields:
        if name in given and name in indexed:
            among = collection.of(name, given[name])
            break

    def wanted(thing: Json) -> bool:
        for name in fields:
            if name in given and name not in indexed and thing.get(name) != given[name]:
                return False
            if name in given and name in thing and thing[name] != given[name]:
                return False
        if "created" in given and not within(thing["created"], given["created"]):
            return False
        return keep(thing)

    return page(collection, given, call.path, among=among, keep=wanted)


# Customers


@endpoint("POST /v1/customers")
def create_customer(stripe: "FakeStripe", call: Call) -> Json:
    given = dict(call.given)
    given.pop("expand", None)
    method = given.pop("payment_method", None)
    settings = given.pop("invoice_settings", None) or {}
    method = settings.get("default_payment_method", method)
    metadata = given.pop("metadata", None) or {}
    texts = ("email", "name", "description", "phone", "address", "balance", "preferred_locales", "test_clock")
    more = {key: given[key] for key in texts if key in given and key not in ("email", "name") and given[key] != ""}
    customer = stripe.customer(
        email=given.get("email") or None, name=given.get("name") or None, card=None, metadata=metadata, **more
    )
    if method:
        customer["invoice_settings"]["default_payment_method"] = _attached(stripe, method, customer["id"])["id"]
    return customer


@endpoint("GET /v1/customers")
def list_customers(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.customers, "email", keep=lambda customer: not customer.get("deleted"))


@endpoint("GET /v1/customers/{customer}")
def get_customer(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.customers, call.ids[0], "customer")


def _live_customer(stripe: "FakeStripe", id: str, param: str = "id") -> Json:
    customer = _one(stripe.customers, id, "customer", param)
    if customer.get("deleted"):
        raise missing("customer", id, param)
    return customer


@endpoint("POST /v1/customers/{customer}")
def update_customer(stripe: "FakeStripe", call: Call) -> Json:
    customer = _live_customer(stripe, call.ids[0])
    with stripe.changing(customer, "customer.updated"):
        for key, value in call.given.items():
            if key == "metadata":
                merge_metadata(customer, value)
            elif key == "invoice_settings":
                if "default_payment_method" in value:
                    method = value["default_payment_method"]
                    customer["invoice_settings"]["default_payment_method"] = (
                        _attached(stripe, method, customer["id"])["id"] if method else None
                    )
                for name in ("custom_fields", "footer"):
                    if name in value:
                        customer["invoice_settings"][name] = value[name] or None
            elif key in customer and key != "expand":
                customer[key] = None if value == "" else value
    return customer


@endpoint("DELETE /v1/customers/{customer}")
def delete_customer(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.delete_customer(_live_customer(stripe, call.ids[0]))


@endpoint("GET /v1/customers/{customer}/payment_methods")
def customers_methods(stripe: "FakeStripe", call: Call) -> Json:
    id = _live_customer(stripe, call.ids[0])["id"]
    among = stripe.payment_methods.of("customer", id)
    return page(
        stripe.payment_methods, call.given, call.path, among=among, keep=lambda method: method["customer"] == id
    )


# Payment methods


def _attached(stripe: "FakeStripe", id: str, customer: str) -> Json:
    """One of Stripe's test methods becomes one of the customer's own."""
    if id in CARDS:
        return stripe.add_method(CARDS[id], customer)
    method = _one(stripe.payment_methods, id, "PaymentMethod", "payment_method")
    if method["customer"] != customer:
        method["customer"] = customer
        stripe.payment_methods.file(method, "customer", customer)
    return method


@endpoint("GET /v1/payment_methods")
def list_methods(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.payment_methods, "customer", "type")


@endpoint("GET /v1/payment_methods/{payment_method}")
def get_method(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.payment_methods, call.ids[0], "PaymentMethod")


@endpoint("POST /v1/payment_methods/{payment_method}/attach")
def attach_method(stripe: "FakeStripe", call: Call) -> Json:
    customer = _live_customer(stripe, call.given["customer"], "customer")
    return _attached(stripe, call.ids[0], customer["id"])


@endpoint("POST /v1/payment_methods/{payment_method}/detach")
def detach_method(stripe: "FakeStripe", call: Call) -> Json:
    method = _one(stripe.payment_methods, call.ids[0], "PaymentMethod", "payment_method")
    if not method["customer"]:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    customer = stripe.customers.get(method["customer"])
    if customer and not customer.get("deleted"):
        settings = customer["invoice_settings"]
        if settings["default_payment_method"] == method["id"]:
            settings["default_payment_method"] = None
    method["customer"] = None
    stripe.emit("payment_method.detached", method)
    return method


# Products and prices


@endpoint("POST /v1/products")
def create_product(stripe: "FakeStripe", call: Call) -> Json:
    known = ("id", "metadata", "description", "active")
    return stripe.product(call.given["name"], **{key: call.given[key] for key in known if key in call.given})


@endpoint("GET /v1/products")
def list_products(stripe: "FakeStripe", call: Call) -> Json:
    ids = call.given.get("ids")
    return _all(call, stripe.products, "active", keep=lambda product: ids is None or product["id"] in ids)


@endpoint("GET /v1/products/{id}")
def get_product(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.products, call.ids[0], "product")


@endpoint("POST /v1/products/{id}")
def update_product(stripe: "FakeStripe", call: Call) -> Json:
    product = _one(stripe.products, call.ids[0], "product")
    with stripe.changing(product, "product.updated"):
        _set(product, call.given, "name", "description", "active", "unit_label")
        product["updated"] = stripe._now
    return product


def _set(thing: Json, given: Json, *names: str) -> None:
    for name in names:
        if name in given:
            thing[name] = None if given[name] == "" else given[name]
    if "metadata" in given:
        merge_metadata(thing, given["metadata"])


@endpoint("POST /v1/prices")
def create_price(stripe: "FakeStripe", call: Call) -> Json:
    given = call.given
    recurring = given.get("recurring") or {}
    if "product" in given:
        product = _one(stripe.products, given["product"], "product", "product")
    elif "product_data" in given:
        data = given["product_data"]
        product = stripe.product(data["name"], metadata=data.get("metadata"))
    else:
        raise invalid("Missing required param: product.", "product", "parameter_missing")
    known = ("nickname", "metadata", "active", "transfer_lookup_key", "tax_behavior")
    return stripe.price(
        given.get("unit_amount"),
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count", 1),
        usage_type=recurring.get("usage_type", "licensed"),
        currency=given["currency"],
        lookup_key=given.get("lookup_key"),
        tiers="tiers" in given,
        product=product,
        **{key: given[key] for key in known if key in given},
    )


@endpoint("GET /v1/prices")
def list_prices(stripe: "FakeStripe", call: Call) -> Json:
    keys, recurring = call.given.get("lookup_keys"), call.given.get("recurring") or {}
    return _all(
        call,
        stripe.prices,
        "product",
        "active",
        "currency",
        "type",
        keep=lambda price: (
            (keys is None or price["lookup_key"] in keys)
            and all(price["recurring"] and price["recurring"][name] == value for name, value in recurring.items())
        ),
    )


@endpoint("GET /v1/prices/{price}")
def get_price(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.prices, call.ids[0], "price")


@endpoint("POST /v1/prices/{price}")
def update_price(stripe: "FakeStripe", call: Call) -> Json:
    price = _one(stripe.prices, call.ids[0], "price")
    key = call.given.get("lookup_key")
    if key and (holder := stripe.price_by_key(key)) and holder is not price:
        if not call.given.get("transfer_lookup_key"):
            raise invalid(f"A price (`{holder['id']}`) already uses that lookup key.", "lookup_key")
        with stripe.changing(holder, "price.updated"):
            holder["lookup_key"] = None
    with stripe.changing(price, "price.updated"):
        _set(price, call.given, "active", "nickname", "lookup_key", "tax_behavior")
    if key:
        stripe.prices.file(price, "lookup_key", key)
    return price


# Subscriptions


def _subscription(stripe: "FakeStripe", id: str, param: str = "id") -> Json:
    return _one(stripe.subscriptions, id, "subscription", param)


@endpoint("POST /v1/subscriptions")
def create_subscription(stripe: "FakeStripe", call: Call) -> Json:
    given = dict(call.given)
    customer = _live_customer(stripe, given.pop("customer", ""), "customer")
    items = []
    for n, item in enumerate(given.pop("items", [])):
        price = stripe.prices.get(item.get("price", ""))
        if not price:
            raise invalid(f"No such price: '{item.get('price')}'", f"items[{n}][price]", "resource_missing")
        items.append((price, item.get("quantity", 1)))
    if not items:
        raise invalid("Missing required param: items.", "items", "parameter_missing")
    trial_days = given.pop("trial_period_days", None)
    trial = given.pop("trial_end", None) or (stripe._now + trial_days * 86_400 if trial_days else None)
    return stripe.subscribe(
        customer,
        items=items,
        trial_end=None if trial == "now" else trial,
        mode=(given.pop("billing_mode", None) or {}).get("type", "flexible"),
        started=given.pop("backdate_start_date", None),
        **{
            key: given[key]
            for key in (
                "metadata",
                "collection_method",
                "days_until_due",
                "payment_behavior",
                "cancel_at_period_end",
                "cancel_at",
                "proration_behavior",
                "billing_cycle_anchor",
                "default_payment_method",
                "description",
                "trial_settings",
            )
            if key in given
        },
    )


@endpoint("GET /v1/subscriptions")
def list_subscriptions(stripe: "FakeStripe", call: Call) -> Json:
    status, price = call.given.pop("status", None), call.given.get("price")
    period = call.given.get("current_period_end")

    def keep(subscription: Json) -> bool:
        if status is None and subscription["status"] == "canceled":
            return False
        if status == "ended" and subscription["status"] not in OVER:
            return False
        if status not in (None, "all", "ended") and subscription["status"] != status:
            return False
        if period and not within(stripe.period_end(subscription), period):
            return False
        return not price or any(item["price"]["id"] == price for item in subscription["items"]["data"])

    return _all(call, stripe.subscriptions, "customer", "collection_method", keep=keep)


@endpoint("GET /v1/subscriptions/{subscription_exposed_id}")
def get_subscription(stripe: "FakeStripe", call: Call) -> Json:
    return _subscription(stripe, call.ids[0])


@endpoint("POST /v1/subscriptions/{subscription_exposed_id}")
def update_subscription(stripe: "FakeStripe", call: Call) -> Json:
    asked = {key: value for key, value in call.given.items() if key != "expand"}
    return stripe.update_subscription(_subscription(stripe, call.ids[0]), asked)


@endpoint("DELETE /v1/subscriptions/{subscription_exposed_id}")
def cancel_subscription(stripe: "FakeStripe", call: Call) -> Json:
    subscription = _subscription(stripe, call.ids[0])
    if subscription["status"] in OVER:
        raise missing("subscription", call.ids[0])
    details = call.given.get("cancellation_details") or {}
    for key in ("feedback", "comment"):
        if key in details:
            subscription["cancellation_details"][key] = details[key] or None
    if call.given.get("prorate"):
        for item in subscription["items"]["data"]:
            stripe._prorate(subscription, item, item.get("quantity", 0), -1, since=stripe._now)
    ended = stripe.end_now(subscription)
    if call.given.get("invoice_now"):
        stripe._invoice_now(subscription)
    return ended


@endpoint("POST /v1/subscriptions/{subscription}/resume")
def resume_subscription(stripe: "FakeStripe", call: Call) -> Json:
    anchor = call.given.get("billing_cycle_anchor", "now")
    return stripe.resume(_subscription(stripe, call.ids[0]), billing_cycle_anchor=anchor)


@endpoint("GET /v1/subscription_items")
def list_items(stripe: "FakeStripe", call: Call) -> Json:
    items = _subscription(stripe, call.given["subscription"], "subscription")["items"]
    return {**items, "url": call.path}


# Schedules


@endpoint("POST /v1/subscription_schedules")
def create_schedule(stripe: "FakeStripe", call: Call) -> Json:
    if "from_subscription" not in call.given:
        raise invalid("Here schedules are made `from_subscription` only.", "from_subscription")
    return stripe.schedule_for(_subscription(stripe, call.given["from_subscription"], "from_subscription"))


@endpoint("GET /v1/subscription_schedules")
def list_schedules(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.schedules, "customer")


@endpoint("GET /v1/subscription_schedules/{schedule}")
def get_schedule(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.schedules, call.ids[0], "subscription_schedule")


@endpoint("POST /v1/subscription_schedules/{schedule}/release")
def release_schedule(stripe: "FakeStripe", call: Call) -> Json:
    schedule = _one(stripe.schedules, call.ids[0], "subscription_schedule")
    return stripe.release(schedule, preserve_cancel_date=call.given.get("preserve_cancel_date", False))


@endpoint("POST /v1/subscription_schedules/{schedule}/cancel")
def cancel_schedule(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.cancel_schedule(_one(stripe.schedules, call.ids[0], "subscription_schedule"))


# Invoices


def _invoice(stripe: "FakeStripe", id: str, param: str = "id") -> Json:
    return _one(stripe.invoices, id, "invoice", param)


@endpoint("GET /v1/invoices")
def list_invoices(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.invoices, "subscription", "customer", "status", "collection_method")


@endpoint("GET /v1/invoices/{invoice}")
def get_invoice(stripe: "FakeStripe", call: Call) -> Json:
    return _invoice(stripe, call.ids[0])


@endpoint("GET /v1/invoices/{invoice}/lines")
def get_lines(stripe: "FakeStripe", call: Call) -> Json:
    found: Json = _invoice(stripe, call.ids[0])["lines"]
    return found


@endpoint("POST /v1/invoices/{invoice}")
def update_invoice(stripe: "FakeStripe", call: Call) -> Json:
    invoice = _invoice(stripe, call.ids[0])
    with stripe.changing(invoice, "invoice.updated"):
        _set(invoice, call.given, "auto_advance", "description", "footer")
        if call.given.get("auto_advance") is False:
            invoice["automatically_finalizes_at"] = invoice["next_payment_attempt"] = None
    return invoice


@endpoint("DELETE /v1/invoices/{invoice}")
def delete_invoice(stripe: "FakeStripe", call: Call) -> Json:
    invoice = _invoice(stripe, call.ids[0])
    if invoice["status"] != "draft":
        raise invalid("You can only delete draft invoices.")
    if invoice["parent"]:
        raise invalid("Invoices that belong to a subscription can't be deleted.")
    stripe.invoices.remove(invoice)
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


@endpoint("POST /v1/invoices/{invoice}/finalize")
def finalize_invoice(stripe: "FakeStripe", call: Call) -> Json:
    invoice = _invoice(stripe, call.ids[0])
    if "auto_advance" in call.given:
        invoice["auto_advance"] = call.given["auto_advance"]
    stripe.finalize(invoice)
    if invoice["status"] == "open" and invoice["auto_advance"] and invoice["collection_method"] != "send_invoice":
        stripe._collect(invoice)
    return invoice


@endpoint("POST /v1/invoices/{invoice}/pay")
def pay_invoice(stripe: "FakeStripe", call: Call) -> Json:
    invoice = _invoice(stripe, call.ids[0])
    method = call.given.get("payment_method")
    card = CARDS.get(method) if method in CARDS else (stripe.behaviour.get(method) if method else None)
    if stripe.pay(invoice, card=card, off_stripe=call.given.get("paid_out_of_band", False)) in ("failed", "action"):
        raise Refused(402, "Your card was declined.", code="card_declined", type="card_error")
    return invoice


@endpoint("POST /v1/invoices/{invoice}/void")
def void_invoice(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.void(_invoice(stripe, call.ids[0]))


@endpoint("POST /v1/invoices/{invoice}/mark_uncollectible")
def give_up_invoice(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.mark_uncollectible(_invoice(stripe, call.ids[0]))


@endpoint("GET /v1/invoice_payments")
def list_payments(stripe: "FakeStripe", call: Call) -> Json:
    wanted = (call.given.get("payment") or {}).get("payment_intent")
    if wanted:
        found = stripe.invoice_payments.of("payment_intent", wanted)
        status = call.given.get("status")
        return page(
            stripe.invoice_payments,
            call.given,
            call.path,
            among=found,
            keep=lambda payment: status in (None, payment["status"]),
        )
    return _all(call, stripe.invoice_payments, "invoice", "status")


@endpoint("GET /v1/invoice_payments/{invoice_payment}")
def get_payment(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.invoice_payments, call.ids[0], "invoice_payment")


# Intents, charges, refunds, disputes, credit notes


@endpoint("GET /v1/payment_intents")
def list_intents(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.payment_intents, "customer")


@endpoint("GET /v1/payment_intents/{intent}")
def get_intent(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.payment_intents, call.ids[0], "payment_intent", "intent")


@endpoint("POST /v1/payment_intents/{intent}/cancel")
def cancel_intent(stripe: "FakeStripe", call: Call) -> Json:
    intent = _one(stripe.payment_intents, call.ids[0], "payment_intent", "intent")
    if stripe.invoice_payments.of("payment_intent", intent["id"]):
        raise invalid(
            "You cannot cancel a PaymentIntent created by an invoice.", code="payment_intent_unexpected_state"
        )
    if intent["status"] in ("succeeded", "canceled", "processing"):
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
        )
    with stripe.changing(intent, "payment_intent.canceled"):
        intent |= {"status": "canceled", "canceled_at": stripe._now}
    return intent


@endpoint("GET /v1/charges")
def list_charges(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.charges, "payment_intent", "customer")


@endpoint("GET /v1/charges/{charge}")
def get_charge(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.charges, call.ids[0], "charge")


@endpoint("POST /v1/refunds")
def create_refund(stripe: "FakeStripe", call: Call) -> Json:
    given = call.given
    if ("payment_intent" in given) == ("charge" in given):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if "payment_intent" in given:
        payment = _one(stripe.payment_intents, given["payment_intent"], "payment_intent", "payment_intent")
    else:
        payment = _one(stripe.charges, given["charge"], "charge", "charge")
    return stripe.refund(payment, given.get("amount"), reason=given.get("reason"), metadata=given.get("metadata") or {})


@endpoint("GET /v1/refunds")
def list_refunds(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.refunds, "payment_intent", "charge")


@endpoint("GET /v1/refunds/{refund}")
def get_refund(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.refunds, call.ids[0], "refund")


@endpoint("POST /v1/refunds/{refund}")
def update_refund(stripe: "FakeStripe", call: Call) -> Json:
    refund = _one(stripe.refunds, call.ids[0], "refund")
    with stripe.changing(refund, "refund.updated"):
        _set(refund, call.given)
    return refund


@endpoint("POST /v1/refunds/{refund}/cancel")
def cancel_refund(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.cancel_refund(_one(stripe.refunds, call.ids[0], "refund"))


@endpoint("GET /v1/disputes")
def list_disputes(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.disputes, "charge", "payment_intent")


@endpoint("GET /v1/disputes/{dispute}")
def get_dispute(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.disputes, call.ids[0], "dispute")


@endpoint("POST /v1/credit_notes")
def create_credit_note(stripe: "FakeStripe", call: Call) -> Json:
    given = call.given
    refunds = given.get("refunds") or []
    return stripe.credit(
        _invoice(stripe, given["invoice"], "invoice"),
        amount=given.get("amount"),
        refund_amount=given.get("refund_amount"),
        credit_amount=given.get("credit_amount", 0),
        out_of_band_amount=given.get("out_of_band_amount", 0),
        refund=_one(stripe.refunds, refunds[0]["refund"], "refund", "refunds[0][refund]") if refunds else None,
        reason=given.get("reason"),
        memo=given.get("memo"),
        metadata=given.get("metadata"),
    )


@endpoint("GET /v1/credit_notes")
def list_credit_notes(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.credit_notes, "invoice", "customer")


@endpoint("GET /v1/credit_notes/{id}")
def get_credit_note(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.credit_notes, call.ids[0], "credit_note")


# Checkout, portal


def _session(stripe: "FakeStripe", id: str) -> Json:
    return _one(stripe.sessions, id, "checkout.session", "session")


@endpoint("POST /v1/checkout/sessions")
def create_session(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.open_session(call.given)


@endpoint("GET /v1/checkout/sessions")
def list_sessions(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.sessions, "customer", "subscription", "status")


@endpoint("GET /v1/checkout/sessions/{session}")
def get_session(stripe: "FakeStripe", call: Call) -> Json:
    return _session(stripe, call.ids[0])


@endpoint("GET /v1/checkout/sessions/{session}/line_items")
def get_line_items(stripe: "FakeStripe", call: Call) -> Json:
    data = line_items(stripe, _session(stripe, call.ids[0])["id"])
    return {"object": "list", "data": data, "has_more": False, "url": call.path}


@endpoint("POST /v1/checkout/sessions/{session}/expire")
def expire_session(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.expire_session(_session(stripe, call.ids[0]))


@endpoint("POST /v1/billing_portal/sessions")
def create_portal_session(stripe: "FakeStripe", call: Call) -> Json:
    return stripe.open_portal(call.given)


# Events, account


@endpoint("GET /v1/events")
def list_events(stripe: "FakeStripe", call: Call) -> Json:
    kinds = call.given.get("types") or ([call.given["type"]] if "type" in call.given else None)
    delivered = call.given.get("delivery_success")
    oldest = stripe._now - 30 * 86_400

    def keep(event: Json) -> bool:
        if event["created"] < oldest or (kinds is not None and not _is_of(event["type"], kinds)):
            return False
        return delivered is None or delivered == (event["id"] not in stripe.undelivered)

    return _all(call, stripe.events, keep=keep)


def _is_of(type: str, kinds: list[str]) -> bool:
    return any(type == kind or (kind.endswith("*") and type.startswith(kind[:-1])) for kind in kinds)


@endpoint("GET /v1/events/{id}")
def get_event(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.events, call.ids[0], "event")


@endpoint("GET /v1/account")
def get_account(stripe: "FakeStripe", call: Call) -> Json:
    return {"id": stripe.account_id, "object": "account", "charges_enabled": True, "details_submitted": True}


# Once set up, by hand or by a script


@endpoint("POST /v1/webhook_endpoints")
def create_webhook_endpoint(stripe: "FakeStripe", call: Call) -> Json:
    made = spec.blank(
        "webhook_endpoint",
        id=stripe.new_id("we"),
        object="webhook_endpoint",
        api_version=call.given.get("api_version"),
        created=stripe._now,
        enabled_events=call.given["enabled_events"],
        livemode=stripe.livemode,
        metadata=call.given.get("metadata") or {},
        status="enabled",
        url=call.given["url"],
    )
    stripe.add(made)
    stripe.webhook_url = made["url"]
    # Told once.
    return {**made, "secret": stripe.webhook_secrets[0]}


@endpoint("GET /v1/webhook_endpoints")
def list_webhook_endpoints(stripe: "FakeStripe", call: Call) -> Json:
    return _all(call, stripe.webhook_endpoints)


@endpoint("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
def delete_webhook_endpoint(stripe: "FakeStripe", call: Call) -> Json:
    found = _one(stripe.webhook_endpoints, call.ids[0], "webhook_endpoint")
    stripe.webhook_endpoints.remove(found)
    return {"id": found["id"], "object": "webhook_endpoint", "deleted": True}


# Redaction: a preview, which the description does not know


def _job(stripe: "FakeStripe", call: Call) -> Json:
    return _one(stripe.redaction_jobs, call.ids[0], "privacy.redaction_job", "job")


@endpoint("POST /v1/privacy/redaction_jobs")
def create_redaction_job(stripe: "FakeStripe", call: Call) -> Json:
    return redaction.create(stripe, call.given)


@endpoint("GET /v1/privacy/redaction_jobs/{job}")
def get_redaction_job(stripe: "FakeStripe", call: Call) -> Json:
    return redaction.look(stripe, _job(stripe, call))


@endpoint("POST /v1/privacy/redaction_jobs/{job}/run")
def run_redaction_job(stripe: "FakeStripe", call: Call) -> Json:
    return redaction.run(stripe, _job(stripe, call))


@endpoint("POST /v1/privacy/redaction_jobs/{job}/validate")
def validate_redaction_job(stripe: "FakeStripe", call: Call) -> Json:
    return redaction.validate(stripe, _job(stripe, call))


@endpoint("POST /v1/privacy/redaction_jobs/{job}/cancel")
def cancel_redaction_job(stripe: "FakeStripe", call: Call) -> Json:
    return redaction.cancel(stripe, _job(stripe, call))


@endpoint("GET /v1/privacy/redaction_jobs/{job}/validation_errors")
def redaction_errors(stripe: "FakeStripe", call: Call) -> Json:
    wrong = [
        {
            "id": f"prjve_{number}",
            "object": "privacy.redaction_job_validation_error",
            "code": obstacle.code,
            "erroring_object": {"id": obstacle.id, "object_type": obstacle.kind},
            "message": obstacle.message,
        }
        for number, obstacle in enumerate(stripe.obstacles.get(_job(stripe, call)["id"], []))
    ]
    return {"object": "list", "data": wrong, "has_more": False, "url": call.path}
