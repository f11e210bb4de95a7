"""Playing AWS by hand: `POST /_control/{verb}` with JSON, `GET /_control/state`, `GET /_control/register?agreement=…`.

A verb's messages are delivered at once in the style asked for, or held until `deliver` says in which order.
"""

import html
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from tests.fakes.aws.messages import Happened, Message
from tests.fakes.aws.protocols import Json, Response
from tests.fakes.aws.sending import all_topics
from tests.fakes.aws.state import Agreement

if TYPE_CHECKING:
    from tests.fakes.aws.fake import FakeAWS

Style = Literal["both", "sns", "events"]
#: What happens to an agreement that is there already; arguments are as of the method of the same name.
VERBS = frozenset(
    {
        "amend",
        "begin",
        "expire",
        "fail_payment",
        "finish_unsubscribe",
        "renew",
        "replace",
        "resubscribe",
        "set_auto_renewal",
        "terminate",
        "unsubscribe",
    }
)
OTHERS = ("buy", "clear", "confirm", "deliver", "end_subscription", "fail", "heal", "play")
DATES = ("starts_at", "ends_at", "trial_ends_at")


@dataclass
class Desk:
    """How the fake is played: what it delivers to, in which style, and what it holds back."""

    site: str | None = None
    style: Style = "both"
    hold: bool = False
    outbox: list[Message] = field(default_factory=list)
    #: What was delivered, and how it was answered.
    posted: list[tuple[str, str, int | None]] = field(default_factory=list)

    def take(self, messages: list[Message]) -> None:
        wanted = {"both": ("aws_sns", "aws_events"), "sns": ("aws_sns",), "events": ("aws_events",)}[self.style]
        self.outbox += [message for message in messages if message.source in wanted]
        if not self.hold:
            self.deliver()

    def deliver(self, *, seed: int | None = None, times: int = 1) -> None:
        """Post what is held, shuffled with a seed, each so many times."""
        waiting, self.outbox = self.outbox * times, []
        if seed is not None:
            random.Random(seed).shuffle(waiting)  # noqa: S311  # an order, not a secret
        for message in waiting:
            door = "sns" if message.source == "aws_sns" else "events"
            try:
                answered = message.post(f"{self.site}/marketplace/aws/{door}/") if self.site else None
            except OSError:
                answered = None
            self.posted.append((message.source, message.event, answered))


def respond(aws: "FakeAWS", method: str, path: str, query: str, body: bytes) -> Response:
    verb = path.removeprefix("/_control").strip("/")
    try:
        if method == "GET" and verb in ("", "state"):
            return _json(200, state(aws))
        if method == "GET" and verb == "register":
            return _registration_page(aws, parse_qs(query)["agreement"][-1])
        arguments = json.loads(body or b"{}")
        before = len(aws.desk.posted)
        return _json(200, perform(aws, verb, arguments) | {"delivered": aws.desk.posted[before:]})
    except (LookupError, TypeError, ValueError) as mistake:
        return _json(400, {"error": str(mistake)})


def perform(aws: "FakeAWS", verb: str, arguments: Json) -> Json:
    """Carry out a verb. Agreements are given by id, or are the newest; dates as ISO."""
    arguments = {name: _argument(name, value) for name, value in arguments.items()}
    if verb == "buy":
        account = arguments.pop("buyer", None)
        buyer = aws.buyer(account, customer_identifier=f"cust-{account or aws.number()}")
        return _told(aws, aws.buy(buyer, **arguments))
    if verb in VERBS:
        method: Callable[..., Happened] = getattr(aws, verb)
        return _told(aws, method(_agreement(aws, arguments.pop("agreement", None)), **arguments))
    if verb in ("confirm", "end_subscription"):
        send = aws.subscription_confirmation if verb == "confirm" else aws.unsubscribe_confirmation
        aws.desk.take([send(topic) for topic in all_topics(aws.products)])
        return {"done": verb}
    if verb == "deliver":
        aws.desk.deliver(**arguments)
        return {"done": verb}
    if verb == "play":
        aws.desk.style = arguments.get("style", aws.desk.style)
        aws.desk.hold = arguments.get("hold", aws.desk.hold)
        return {"style": aws.desk.style, "hold": aws.desk.hold}
    if verb in ("fail", "heal", "clear"):
        getattr(aws, verb)(**arguments)
        return {"done": verb}
    raise LookupError(f"No verb {verb!r}. There are: {', '.join(sorted([*VERBS, *OTHERS]))}")


def state(aws: "FakeAWS") -> Json:
    """All that the fake knows."""
    return {
        "now": aws.now.isoformat(),
        "products": [{"code": product.code, "topics": product.topics} for product in aws.products.values()],
        "agreements": [_shown(agreement) for agreement in aws.agreements.values()],
        "confirmed_topics": [known.topic for known in aws.confirmations if known.subscription_arn],
        "held": [[message.source, message.event] for message in aws.desk.outbox],
        "posted": aws.desk.posted,
        "requests": [str(request) for request in aws.requests],
    }


def _told(aws: "FakeAWS", happened: Happened) -> Json:
    aws.desk.take(happened.messages)
    agreement = happened.agreement
    return {"agreement": _shown(agreement), "register": f"{aws.url}/_control/register?agreement={agreement.id}"}


def _shown(agreement: Agreement) -> Json:
    return {
        "id": agreement.id,
        "buyer": agreement.buyer.account_id,
        "status": agreement.status,
        "license": agreement.license_id,
        "entitlements": agreement.entitlements,
        "auto_renewal": agreement.auto_renewal,
        "ends_at": agreement.ends_at.isoformat() if agreement.ends_at else None,
        "finished": agreement.finished_at is not None,
    }


def _agreement(aws: "FakeAWS", agreement_id: str | None) -> Agreement:
    if agreement_id is None and aws.agreements:
        return list(aws.agreements.values())[-1]
    if agreement_id not in aws.agreements:
        raise LookupError(f"No agreement {agreement_id}: POST /_control/buy first")
    return aws.agreements[agreement_id]


def _argument(name: str, value: Any) -> Any:
    if name not in DATES or value is None:
        return value
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _registration_page(aws: "FakeAWS", agreement_id: str) -> Response:
    """What AWS shows after the purchase: a button that sends the buyer to us, with a fresh token."""
    form = aws.registration_form(_agreement(aws, agreement_id))
    fields = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in form.items()
    )
    page = (
        "<!doctype html><title>AWS Marketplace</title><h1>You have subscribed</h1>"
        f'<form method="post" action="{aws.desk.site or ""}/marketplace/aws/register/">{fields}'
        "<button>Set up your account</button></form>"
    )
    return Response(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


def _json(status: int, told: Json) -> Response:
    return Response(status, json.dumps(told, indent=2).encode() + b"\n", {"Content-Type": "application/json"})
