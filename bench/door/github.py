"""What GitHub sends: deliveries of the webhook, about 2 kB each, signed and ready to be sent."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from accounts.inbox.delivery import Delivery as Inbox
from marketplace.github.signature import sign

SECRET = "bench-webhook-secret"  # noqa: S105  # opens nothing but this run's own server
EVENT, CONTENT_TYPE, HOOK = "marketplace_purchase", "application/json", "7"
#: GitHub's ids of the customers: this one and those that follow.
FIRST_CUSTOMER = 7_000_000
#: The plan of the listing, as it stands in our database once it was heard of.
PLAN = {"id": 435, "name": "Pro", "monthly_cents": 2900, "yearly_cents": 29_000, "price_model": "flat_rate"}
#: One in so many is the one before it again.
REPEATED_EVERY = 10


@dataclass(frozen=True)
class Delivery:
    """A message to the webhook. `request` is all of it, ready to be sent over a connection."""

    guid: str
    customer: str
    body: bytes
    digest: bytes
    request: bytes


def delivery(action: str, customer: int) -> Delivery:
    """What GitHub sends when this customer has done something, under an id of its own."""
    guid, body = str(uuid.uuid4()), _BODIES[action].replace(b"%d" % FIRST_CUSTOMER, b"%d" % customer)
    signature = sign(SECRET, body)
    head = (
        f"POST {reverse('github_webhook')} HTTP/1.1\r\nHost: testserver\r\nAccept: */*\r\n"
        f"User-Agent: GitHub-Hookshot/bench\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"X-GitHub-Delivery: {guid}\r\nX-GitHub-Event: {EVENT}\r\nX-GitHub-Hook-ID: {HOOK}\r\n"
        f"X-GitHub-Hook-Installation-Target-Type: marketplace_listing\r\nX-Hub-Signature-256: {signature}\r\n\r\n"
    )
    return Delivery(guid, str(customer), body, hashlib.sha256(body).digest(), head.encode() + body)


def with_repetitions(count: int, *, first: int = FIRST_CUSTOMER) -> Iterator[Delivery]:
    """So many changes of plan, each of another customer, but that every tenth is the one before it again."""
    customer = first
    while count > 0:
        customer += 1
        once = delivery("changed", customer)
        for _time in range(2 if customer % (REPEATED_EVERY - 1) == 0 else 1):
            yield once
            count -= 1


def store(deliveries: list[Delivery], at: datetime) -> None:
    """Put deliveries into the inbox as the webhook does, only faster. They are Django's database's."""
    Inbox.objects.bulk_create(
        Inbox(
            source="github",
            hook=HOOK,
            event=EVENT,
            content_type=CONTENT_TYPE,
            delivery_id=each.guid,
            body=each.body,
            named=[each.customer],
            digest=each.digest,
            received_at=at,
            next_attempt_at=at,
        )
        for each in deliveries
    )


def _user(login: str) -> dict[str, object]:
    """A GitHub account with all its addresses, as the sender of a delivery."""
    api = f"https://api.github.com/users/{login}"
    lists = ("followers", "gists", "starred", "subscriptions", "orgs", "repos", "events", "received_events")
    return {
        "login": login,
        "id": FIRST_CUSTOMER,
        "node_id": "MDQ6VXNlcjcwMDAwMDA=",
        "avatar_url": "https://avatars.githubusercontent.com/u/7000000?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": f"https://github.com/{login}",
        **{f"{name}_url": f"{api}/{name}" for name in lists},
        "type": "User",
        "user_view_type": "public",
        "site_admin": False,
        "email": f"{login}@example.com",
    }


def _purchase(cents: int) -> dict[str, object]:
    return {
        "account": {
            "type": "Organization",
            "id": FIRST_CUSTOMER,
            "node_id": "MDEyOk9yZ2FuaXphdGlvbjcwMDAwMDA=",
            "login": "harbour",
            "organization_billing_email": "billing@example.com",
        },
        "billing_cycle": "monthly",
        "unit_count": 1,
        "on_free_trial": False,
        "free_trial_ends_on": None,
        "next_billing_date": "2026-12-05T00:00:00+00:00",
        "plan": {
            "id": PLAN["id"],
            "name": PLAN["name"],
            "description": "For teams",
            "monthly_price_in_cents": cents,
            "yearly_price_in_cents": cents * 10,
            "price_model": "FLAT_RATE",
            "has_free_trial": True,
            "unit_name": None,
            "bullets": ["Everything in Free", "Live connections"],
        },
    }


def _body(action: str, day: str, **more: object) -> bytes:
    return json.dumps(
        {
            "action": action,
            "effective_date": f"{day}T00:00:00+00:00",
            "sender": _user("harbourmaster"),
            "marketplace_purchase": _purchase(2900),
            **more,
        }
    ).encode()


#: As GitHub writes them; the account's id is put in for each delivery.
_BODIES = {
    "purchased": _body("purchased", "2025-11-05"),
    "changed": _body("changed", "2025-11-05", previous_marketplace_purchase=_purchase(900)),
    "cancelled": _body("cancelled", "2025-11-06", previous_marketplace_purchase=_purchase(900)),
}
