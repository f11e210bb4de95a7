"""Webhook deliveries: the payloads of `marketplace_purchase` and `ping`, signed.

Payloads changed over the years, and captured ones of each year are still replayed by tools and fixtures:

- "2017": `effective_date` is an instant with `Z`; no `node_id`, no trial fields, `unit_count` null, the sender's e-mail
- "2018": `effective_date` is a midnight with `+00:00`; no `account.node_id`; the sender's e-mail is null
- "2022": `account.node_id`; price models in capitals (until that summer still in small letters); no e-mail
"""

import hashlib
import hmac
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from tests.fakes.github.state import Account, Plan, Purchase, midnight

Json = dict[str, Any]
Era = Literal["2017", "2018", "2022"]
Casing = Literal["old", "new"]
ContentType = Literal["json", "form"]

LISTING_ID = 3_141
HOOK_ID = 271_828_182


@dataclass(frozen=True)
class Delivery:
    """What GitHub posts: exactly these bytes, under these headers. Posting it again is a redelivery: the same GUID."""

    event: str
    guid: str
    body: bytes
    headers: dict[str, str]
    payload: Json

    @property
    def content_type(self) -> str:
        return self.headers["Content-Type"]

    @property
    def action(self) -> str | None:
        return self.payload.get("action")

    def post(self, url: str, *, timeout: float = 10) -> int:
        """Posts it and returns the status. Only to this machine. OSError if nobody answers within `timeout` seconds."""
        if urllib.parse.urlsplit(url).hostname != "127.0.0.1":
            raise ValueError(f"The fake posts to 127.0.0.1 only, not to {url}")
        request = urllib.request.Request(url, data=self.body, headers=self.headers, method="POST")  # noqa: S310
        try:
            # A new opener each time: the process may have a proxy set, and GitHub is not known to follow redirects.
            with urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect()).open(
                request, timeout=timeout
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return refusal.code

    def replayed(self) -> "Delivery":
        """The captured body under an invented GUID: the signature covers the body only."""
        guid = str(uuid.uuid4())
        return replace(self, guid=guid, headers={**self.headers, "X-GitHub-Delivery": guid})

    def signed(self, secret: str) -> "Delivery":
        """The same, signed with another secret."""
        return replace(self, headers={**self.headers, **signatures(secret, self.body)})

    def altered(self, alter: Callable[[Json], None], *, secret: str, content_type: ContentType = "json") -> "Delivery":
        """Another delivery whose payload `alter` has changed, signed anew."""
        payload = json.loads(json.dumps(self.payload))
        alter(payload)
        return delivery(payload, event=self.event, secret=secret, content_type=content_type)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def delivery(payload: Json, *, event: str, secret: str, content_type: ContentType = "json") -> Delivery:
    # Not escaped to ASCII: multi-byte characters are in the signed bytes.
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    if content_type == "json":
        body, media_type = text.encode(), "application/json"
    else:
        body, media_type = urllib.parse.urlencode({"payload": text}).encode(), "application/x-www-form-urlencoded"
    guid = str(uuid.uuid4())
    headers = {
        "Accept": "*/*",
        "Content-Type": media_type,
        "User-Agent": "GitHub-Hookshot/0ff5e77",
        "X-GitHub-Delivery": guid,
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": str(HOOK_ID),
        "X-GitHub-Hook-Installation-Target-ID": str(LISTING_ID),
        # Its text for a Marketplace hook is not known from any public source: nothing may depend on it.
        "X-GitHub-Hook-Installation-Target-Type": "marketplace_listing",
        **signatures(secret, body),
    }
    return Delivery(event=event, guid=guid, body=body, headers=headers, payload=payload)


def signatures(secret: str, body: bytes) -> dict[str, str]:
    key = secret.encode()
    return {
        "X-Hub-Signature": f"sha1={hmac.new(key, body, hashlib.sha1).hexdigest()}",
        "X-Hub-Signature-256": f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}",
    }


def purchase_event(
    action: str,
    account: Account,
    purchase: Purchase,
    *,
    effective: datetime,
    sender: Account,
    previous: Purchase | None,
    era: Era,
    casing: Casing | None,
    api: str,
) -> Json:
    """The payload of `marketplace_purchase`."""
    old_casing = (casing or ("new" if era == "2022" else "old")) == "old"
    event: Json = {
        "action": action,
        "effective_date": instant(effective) if era == "2017" else iso(midnight(effective)),
        "sender": _sender(sender, era=era, api=api),
        "marketplace_purchase": _purchase(account, purchase, era=era, old_casing=old_casing),
    }
    if action == "cancelled":
        # Every captured cancellation says 0 units and no billing date, also of a paid plan.
        event["marketplace_purchase"] |= {"unit_count": 0, "next_billing_date": None}
    if previous:
        before = _purchase(account, previous, era=era, old_casing=old_casing)
        if action == "changed":
            del before["next_billing_date"]
        if era == "2017":
            del before["account"]["organization_billing_email"]
        event["previous_marketplace_purchase"] = before
    return event


def ping_event(sender: Account, *, created: datetime, url: str, content_type: ContentType, api: str) -> Json:
    """What a new Marketplace hook is greeted with. It has no `action`, and a hook type that octokit's schema lacks."""
    return {
        "zen": "Keep it logically awesome.",
        "hook_id": HOOK_ID,
        "hook": {
            "type": "Marketplace::Listing",
            "id": HOOK_ID,
            "name": "web",
            "active": True,
            "events": ["*"],
            "config": {"content_type": content_type, "insecure_ssl": "0", "secret": "********", "url": url},
            "updated_at": instant(created),
            "created_at": instant(created),
            "marketplace_listing_id": LISTING_ID,
        },
        "sender": _sender(sender, era="2022", api=api),
    }


def person(account: Account, *, api: str) -> Json:
    """An account as it stands in payloads and answers (OpenAPI: simple-user)."""
    user = f"{api}/users/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": account.node_id,
        "avatar_url": f"https://avatars.example/u/{account.id}?v=4",
        "gravatar_id": "",
        "url": user,
        "html_url": f"https://github.example/{account.login}",
        "followers_url": f"{user}/followers",
        "following_url": f"{user}/following{{/other_user}}",
        "gists_url": f"{user}/gists{{/gist_id}}",
        "starred_url": f"{user}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{user}/subscriptions",
        "organizations_url": f"{user}/orgs",
        "repos_url": f"{user}/repos",
        "events_url": f"{user}/events{{/privacy}}",
        "received_events_url": f"{user}/received_events",
        "type": account.type,
        "site_admin": False,
    }


def iso(moment: datetime) -> str:
    """2026-03-02T00:00:00+00:00, as webhooks write dates."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def instant(moment: datetime) -> str:
    """2026-03-02T09:30:00Z, as REST writes instants."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _sender(sender: Account, *, era: Era, api: str) -> Json:
    body = person(sender, api=api)
    if era == "2022":
        return body
    del body["node_id"]
    return body | {"email": sender.email if era == "2017" else None}


def _purchase(account: Account, purchase: Purchase, *, era: Era, old_casing: bool) -> Json:
    body: Json = {
        "account": {
            "type": account.type,
            "id": account.id,
            "node_id": account.node_id,
            "login": account.login,
            "organization_billing_email": account.email if account.is_organization else None,
        },
        "billing_cycle": purchase.billing_cycle,
        "unit_count": purchase.unit_count,
        "on_free_trial": purchase.on_free_trial,
        "free_trial_ends_on": iso(purchase.free_trial_ends_on) if purchase.free_trial_ends_on else None,
        # Null during a trial, although REST has a date then.
        "next_billing_date": (
            iso(purchase.next_billing_date) if purchase.next_billing_date and not purchase.on_free_trial else None
        ),
        "plan": _plan(purchase.plan, era=era, old_casing=old_casing),
    }
    if era != "2022":
        del body["account"]["node_id"]
    if era == "2017":
        body["unit_count"] = None
        del body["on_free_trial"], body["free_trial_ends_on"]
    return body


def _plan(plan: Plan, *, era: Era, old_casing: bool) -> Json:
    body: Json = {
        "id": plan.id,
        "name": plan.name,
        "description": plan.description,
        "monthly_price_in_cents": plan.monthly,
        "yearly_price_in_cents": plan.yearly,
        "price_model": plan.price_model.lower().replace("_", "-") if old_casing else plan.price_model,
        "has_free_trial": plan.has_free_trial,
        "unit_name": plan.unit_name,
        "bullets": list(plan.bullets),
    }
    if era == "2017":
        del body["has_free_trial"]
    return body
