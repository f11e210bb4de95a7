"""What Stripe holds: objects as it shows them, by kind, oldest first; and a clock that moves only when told."""

import heapq
import itertools
import json
import secrets
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.fakes.stripe.spec import VERSION, Json

#: What begins an id, and where the object is kept.
KINDS = {
    "cus": "customers",
    "prod": "products",
    "price": "prices",
    "sub": "subscriptions",
    "sub_sched": "schedules",
    "in": "invoices",
    "inpay": "invoice_payments",
    "pi": "payment_intents",
    "pm": "payment_methods",
    "ch": "charges",
    "re": "refunds",
    "cn": "credit_notes",
    "dp": "disputes",
    "cs": "sessions",
    "bps": "portal_sessions",
    "bpc": "portal_configurations",
    "evt": "events",
    "we": "webhook_endpoints",
    "prj": "redaction_jobs",
    "seti": "setup_intents",
    "txi": "tax_ids",
    "clock": "test_clocks",
}
#: What lists are narrowed by: an index each, for the fields that never change.
INDEXED = ("customer", "subscription", "invoice", "payment_intent", "charge", "product", "lookup_key")
HOUR, DAY = 3600, 86_400


class Collection:
    """Objects of one kind in the order in which they were made."""

    def __init__(self) -> None:
        self._of_id: dict[str, Json] = {}
        self._order: list[str] = []
        self._place: dict[str, int] = {}
        self._by: defaultdict[tuple[str, Any], list[str]] = defaultdict(list)

    def add(self, thing: Json) -> Json:
        self._of_id[thing["id"]] = thing
        self._place[thing["id"]] = len(self._order)
        self._order.append(thing["id"])
        for field in INDEXED:
            if thing.get(field):
                self.file(thing, field, thing[field])
        return thing

    def file(self, thing: Json, field: str, value: str) -> None:
        """Have it found by this, though the field is not at its top."""
        self._by[field, value].append(thing["id"])

    def remove(self, thing: Json) -> None:
        """Its place stays, so that a list that was begun can go on."""
        del self._of_id[thing["id"]]

    def get(self, id: str) -> Json | None:
        return self._of_id.get(id)

    def of(self, field: str, value: str | None) -> list[Json]:
        """Those whose field is this, oldest first."""
        return [self._of_id[id] for id in self._by[field, value] if id in self._of_id]

    def place(self, id: str) -> int | None:
        return self._place.get(id)

    def newest_first(self, *, below: int | None = None) -> Iterator[Json]:
        for place in range((len(self._order) if below is None else below) - 1, -1, -1):
            if thing := self._of_id.get(self._order[place]):
                yield thing

    def __iter__(self) -> Iterator[Json]:
        return iter(list(self._of_id.values()))

    def __len__(self) -> int:
        return len(self._of_id)


class World:
    """The account's objects, its clock and what is due by it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.url = ""
        self.clear()

    def clear(self) -> None:
        """New again, at the same address."""
        with self.lock:
            self._now = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
            self.livemode = False
            self.run = secrets.token_hex(4)
            self._numbers = itertools.count(1)
            self._due: list[tuple[int, int, str, str]] = []
            self.quiet = False
            #: Where events are posted to, if anywhere.
            self.webhook_url: str | None = None
            # The request that is being answered, for the events that it causes.
            self.asking: Json = {"id": None, "idempotency_key": None}
            for kind in KINDS.values():
                setattr(self, kind, Collection())
            #: What paying with a method does: see `payments.CARDS`.
            self.behaviour: dict[str, str] = {}
            #: Prorations that wait for the next invoice, by subscription: amount and words.
            self.pending: dict[str, list[Json]] = defaultdict(list)

    customers: Collection
    products: Collection
    prices: Collection
    subscriptions: Collection
    schedules: Collection
    invoices: Collection
    invoice_payments: Collection
    payment_intents: Collection
    payment_methods: Collection
    charges: Collection
    refunds: Collection
    credit_notes: Collection
    disputes: Collection
    sessions: Collection
    portal_sessions: Collection
    portal_configurations: Collection
    events: Collection
    webhook_endpoints: Collection
    redaction_jobs: Collection
    setup_intents: Collection
    tax_ids: Collection
    test_clocks: Collection

    # Time: Stripe counts whole seconds.

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now, UTC)

    @now.setter
    def now(self, at: datetime) -> None:
        """Puts the clock somewhere without anything happening; `advance` is what lets time pass."""
        self._now = int(at.timestamp())

    @property
    def next_due(self) -> datetime | None:
        """When something may happen by itself next."""
        return datetime.fromtimestamp(self._due[0][0], UTC) if self._due else None

    def at(self, moment: int, what: str, id: str) -> None:
        """Have `what` looked at again then. Whether it still holds is asked then."""
        heapq.heappush(self._due, (moment, next(self._numbers), what, id))

    # Objects

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_1{self.run}{next(self._numbers):015d}"

    def find(self, id: str) -> Json | None:
        prefix = id.rsplit("_", 1)[0] if id.startswith("sub_sched_") else id.split("_", 1)[0]
        if prefix == "cs":
            return self.sessions.get(id)
        kind = KINDS.get(prefix)
        collection: Collection | None = getattr(self, kind) if kind else None
        return collection.get(id) if collection else None

    def the(self, thing: Json | str) -> Json:
        """The object itself, given it or its id."""
        found = self.find(thing if isinstance(thing, str) else thing["id"])
        if not found:
            raise LookupError(f"Nothing here is called {thing}")
        return found

    def add(self, thing: Json) -> Json:
        collection: Collection = getattr(
            self,
            KINDS[thing["id"].rsplit("_", 1)[0] if thing["id"].startswith("sub_sched_") else thing["id"].split("_")[0]],
        )
        return collection.add(thing)

    # What happened

    def emit(self, type: str, thing: Json, previous: Json | None = None) -> Json | None:
        if self.quiet:
            return None
        data: Json = {"object": copied(thing)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": VERSION,
            "created": self._now,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": dict(self.asking),
            "type": type,
        }
        self.events.add(event)
        self.happened(event)
        return event

    def happened(self, event: Json) -> None:
        """For deliveries."""

    @contextmanager
    def changing(self, thing: Json, type: str | None) -> Iterator[Json]:
        """What is changed inside is told in one event, with what it was before; no change, no event."""
        before = copied(thing)
        yield thing
        previous = {key: before.get(key) for key in thing if before.get(key) != thing[key]}
        if type and previous:
            self.emit(type, thing, previous)


def copied(thing: Json) -> Json:
    made: Json = json.loads(json.dumps(thing))
    return made
