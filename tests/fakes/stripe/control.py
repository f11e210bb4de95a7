"""Playing Stripe by hand: `POST /_control/{verb}` with JSON, `GET /_control/state`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.stripe.calls import Answer, Call
from tests.fakes.stripe.refusals import Refused
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.traffic import Fault

if TYPE_CHECKING:
    from tests.fakes.stripe.fake import FakeStripe

#: What may be called: the fake's methods of these names, with ids for objects and ISO for dates.
VERBS = frozenset(
    {
        "advance",
        "away",
        "change",
        "clear",
        "close_dispute",
        "complete",
        "credit",
        "customer",
        "dashboard_cancel",
        "dashboard_keep",
        "delete_customer",
        "dispute",
        "end_now",
        "expire_session",
        "fail",
        "forget_requests",
        "heal",
        "hurry",
        "lose",
        "mark_uncollectible",
        "pause",
        "pause_collection",
        "pay",
        "pay_with",
        "portal_cancel",
        "portal_cancel_now",
        "portal_keep",
        "price",
        "product",
        "refund",
        "release",
        "resume",
        "schedule_for",
        "settle_refund",
        "subscribe",
        "void",
    }
)
DATES = ("to", "at", "until", "trial_end", "started", "resumes_at")
#: What can be set, and of what kind.
SETTINGS: dict[str, Callable[[Any], Any]] = {
    "after_retries": str,
    "calls_per_second": lambda value: None if value is None else int(value),
    "debit_days": float,
    "debit_succeeds": bool,
    "draft_seconds": int,
    "endpoint_accepts": bool,
    "latency": float,
    "refunds_are": str,
    "retry_days": tuple,
    "tax_percent": float,
    "tells": bool,
    "webhook_secrets": list,
    "webhook_url": str,
}


def respond(stripe: "FakeStripe", call: Call) -> Answer:
    verb = call.path.removeprefix("/_control").strip("/")
    try:
        with stripe.lock:
            if call.method == "GET":
                return Answer(200, state(stripe))
            answer = Answer(200, perform(stripe, verb, call.given))
    except Refused as refused:
        answer = Answer(refused.status, {"error": refused.error})
    except (KeyError, LookupError, TypeError, ValueError) as mistake:
        answer = Answer(400, {"error": {"message": str(mistake)}})
    stripe.tell()
    return answer


def perform(stripe: "FakeStripe", verb: str, arguments: Json) -> Json:
    if verb == "set":
        for name, value in arguments.items():
            if name not in SETTINGS:
                raise LookupError(f"Nothing to set is called {name!r}. There are: {', '.join(sorted(SETTINGS))}")
            setattr(stripe, name, SETTINGS[name](value))
        return {"done": "set"}
    if verb not in VERBS:
        raise LookupError(f"No verb {verb!r}. There are: {', '.join(sorted(VERBS | {'set'}))}")
    if verb == "advance" and stripe.runs:
        stripe.ahead += _span(stripe, arguments)
        stripe.keep_time()
        return {"now": stripe.now.isoformat()}
    method: Callable[..., Any] = getattr(stripe, verb)
    result = method(*arguments.pop("of", []), **{name: _argument(name, value) for name, value in arguments.items()})
    if isinstance(result, Fault):
        result = result.pattern
    return {"done": verb, "result": result, "now": stripe.now.isoformat()}


def _span(stripe: "FakeStripe", arguments: Json) -> int:
    if "to" in arguments:
        return max(0, int(_date(arguments["to"]).timestamp()) - stripe._now)
    units = {"days": 86_400, "hours": 3600, "seconds": 1}
    return sum(int(arguments.get(name, 0) * size) for name, size in units.items())


def _argument(name: str, value: Any) -> Any:
    if name in DATES and isinstance(value, str) and value[:1].isdigit():
        return _date(value)
    return value


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def state(stripe: "FakeStripe") -> Json:
    """What a person needs to go on; all of an object is at its own address."""
    return {
        "now": stripe.now.isoformat(),
        "webhook_url": stripe.webhook_url,
        "settings": {name: getattr(stripe, name) for name in SETTINGS},
        "prices": [
            {"id": price["id"], "lookup_key": price["lookup_key"], "cents": price["unit_amount"]}
            for price in stripe.prices
        ],
        "customers": [
            {"id": customer["id"], "email": customer.get("email"), "metadata": customer.get("metadata")}
            for customer in stripe.customers
        ],
        "subscriptions": [
            {
                "id": subscription["id"],
                "customer": subscription["customer"],
                "status": subscription["status"],
                "cancel_at": subscription["cancel_at"],
                "cancel_at_period_end": subscription["cancel_at_period_end"],
                "period_end": stripe.period_end(subscription),
                "latest_invoice": subscription["latest_invoice"],
            }
            for subscription in stripe.subscriptions
        ],
        "invoices": [
            {
                key: invoice[key]
                for key in ("id", "customer", "billing_reason", "status", "amount_due", "amount_paid", "auto_advance")
            }
            for invoice in stripe.invoices
        ],
        "refunds": [{key: refund[key] for key in ("id", "amount", "status", "metadata")} for refund in stripe.refunds],
        "sessions": [{key: session[key] for key in ("id", "status", "url")} for session in stripe.sessions],
        "waiting": [stripe.the(id)["type"] for id in stripe.waiting],
        "answered": [{"event": id, "status": status} for id, status in stripe.answered[-50:]],
        "requests": [str(request) for request in stripe.requests[-100:]],
    }
