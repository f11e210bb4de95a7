"""Events on their way to our endpoint: signed, late, lost, doubled, in any order."""

import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from tests.fakes.stripe.clock import Clock
from tests.fakes.stripe.payments import in_seconds
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.state import DAY, HOUR, copied

#: When an event is tried again, after the first time; in a live account for three days.
TRIES = (5 * 60, 30 * 60, 2 * HOUR, 5 * HOUR, 10 * HOUR, *(12 * HOUR * n for n in range(2, 7)))
ANSWER_WITHIN = 20.0


@dataclass(frozen=True)
class Delivery:
    """One attempt: the bytes that are posted and the header that vouches for them."""

    event: Json
    body: bytes
    signature: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": self.signature,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }

    def post(self, url: str) -> int:
        """The status of the answer; 0 if there was none. A redirect is not followed: it counts as a failure."""
        try:
            with httpx.Client(trust_env=False, timeout=ANSWER_WITHIN) as client:
                return client.post(url, content=self.body, headers=self.headers).status_code
        except httpx.HTTPError:
            return 0


def sign(body: bytes, secrets: Iterable[str], *, at: int | None = None) -> str:
    """The header `Stripe-Signature`: one `v1` a secret. At the time of this machine unless told another."""
    moment = int(time.time()) if at is None else at
    signed = f"{moment}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={moment}", *(f"v1={mark}" for mark in marks)])


class Deliveries(Clock):
    def clear(self) -> None:
        super().clear()
        #: What deliveries are signed with: all of them, as while one is being rolled.
        self.webhook_secrets = ["whsec_test_secret"]
        #: Events not yet taken, by id.
        self.waiting: list[str] = []
        #: Events that no endpoint has accepted, as `GET /v1/events?delivery_success=false` tells.
        self.undelivered: set[str] = set()
        #: What our endpoint answered, in order: event id and status.
        self.answered: list[tuple[str, int]] = []
        self._tries: dict[str, int] = {}

    def happened(self, event: Json) -> None:
        self.waiting.append(event["id"])
        self.undelivered.add(event["id"])

    def signed(
        self,
        event: Json | str,
        *,
        secrets: Iterable[str] | None = None,
        at: datetime | int | None = None,
        api_version: str | None = None,
        livemode: bool | None = None,
        body: bytes | None = None,
    ) -> Delivery:
        """An attempt to deliver it, signed now (as each of Stripe's is) unless `at` says when."""
        told = copied(self.the(event))
        if api_version:
            told["api_version"] = api_version
            if api_version < "2025-03-31":
                _as_before_basil(told["data"]["object"])
        if livemode is not None:
            told["livemode"] = livemode
        raw = json.dumps(told, indent=2, ensure_ascii=False).encode() if body is None else body
        return Delivery(told, raw, sign(raw, self.webhook_secrets if secrets is None else secrets, at=in_seconds(at)))

    def event(self, type: str, thing: Json, previous: Json | None = None) -> Json:
        """One of our own making: of a type that nothing here causes, or a second one for one fact."""
        with self.lock:
            made = self.emit(type, thing, previous)
            assert made, "quiet"
            return made

    def take(
        self,
        *types: str,
        shuffled: int | None = None,
        doubled: bool = False,
        twice_told: bool = False,
        **how: Any,
    ) -> list[Delivery]:
        """The events that wait, each signed, oldest first; they wait no longer. With `types`, only theirs do.

        `shuffled` is a seed; `doubled` gives each a second time under the same id; `twice_told` under another.
        """
        with self.lock:
            taken = [self.the(id) for id in self.waiting if not types or self.the(id)["type"] in types]
            self.waiting = [id for id in self.waiting if types and self.the(id)["type"] not in types]
            told = []
            for event in taken:
                event["pending_webhooks"] = 0
                self.undelivered.discard(event["id"])
                told += [event] * (2 if doubled else 1)
                if twice_told:
                    again = {**copied(event), "id": self.new_id("evt")}
                    self.events.add(again)
                    told.append(again)
            if shuffled is not None:
                random.Random(shuffled).shuffle(told)  # noqa: S311  # an order, not a secret
            return [self.signed(event, **how) for event in told]

    def lose(self, *types: str) -> int:
        """Those that wait never arrive; all, or of these types. Returns how many."""
        lost = self.take(*types)
        self.undelivered |= {delivery.event["id"] for delivery in lost}
        return len(lost)

    def deliver(self, url: str | None = None, *types: str, **how: Any) -> list[int]:
        """Posts what waits; the answers. What is not accepted comes again later, as `advance` passes its time."""
        address = url or self.webhook_url
        if not address:
            raise ValueError("No address to deliver to")
        answers = []
        for delivery in self.take(*types, **how):
            answers.append(status := delivery.post(address))
            self.note(delivery.event["id"], status)
        return answers

    def note(self, id: str, status: int) -> None:
        with self.lock:
            self.answered.append((id, status))
            event = self.events.get(id)
            if not event:
                return
            if 200 <= status < 300:
                event["pending_webhooks"] = 0
                self.undelivered.discard(id)
                if event["type"] == "invoice.created":
                    self.invoice_created_accepted(event["data"]["object"]["id"])
                return
            event["pending_webhooks"] = 1
            self.undelivered.add(id)
            tried = self._tries[id] = self._tries.get(id, 0) + 1
            if tried <= len(TRIES):
                self.at(self._now + TRIES[tried - 1], "deliver_again", id)

    def deliver_again(self, id: str) -> None:
        self.waiting.append(id)


def _as_before_basil(thing: Json) -> None:
    """The shapes of old endpoints: the period on the subscription, the subscription on the invoice."""
    if thing["object"] == "subscription":
        for item in thing["items"]["data"]:
            thing["current_period_start"] = item.pop("current_period_start")
            thing["current_period_end"] = item.pop("current_period_end")
    if thing["object"] == "invoice" and thing.get("parent"):
        thing["subscription"] = thing.pop("parent")["subscription_details"]["subscription"]
        thing["paid"] = thing["status"] == "paid"


__all__ = ["DAY", "Deliveries", "Delivery", "sign"]
