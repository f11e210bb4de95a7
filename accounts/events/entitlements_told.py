"""`entitlements.changed`: what an account may do is another thing than was told last.

The answer follows from dates and rows of several tables, so it is asked for when a message is published that may have
changed it (`MessageType.changes_entitlements`), and told only if it differs: who cancels and thinks better of it within
seconds is told of once or not at all. An answer that a date alone ends, because a contract is over or another one
begins, is asked for again by the `events` sweep when that date has passed: that may be late, while the door
`GET …/entitlements/` never is (design, idea 1).
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.core import locks
from accounts.core.clock import rfc3339
from accounts.core.locks import Lock
from accounts.customers.account import Account
from accounts.customers.entitlements import Entitlements, entitlements_of
from accounts.customers.history import ActorKind
from accounts.events import telling
from accounts.events.message import EventMessage, EventStream
from accounts.events.message_type import TYPES, MessageType

CHANGED = "entitlements.changed"
#: Accounts whose dates have passed, asked in one transaction.
BATCH = 200

ENTITLEMENTS = MessageType(
    CHANGED,
    "What the account may do is another thing than was told last; said once of each new account. The fields are those "
    "of `GET …/entitlements/`. Of a date that has passed it may come a minute late; the door never is.",
    {
        "plan": "the code of the plan",
        "features": "the codes of all that it may do, in order",
        "since": "when this began to hold",
        "until": "the first instant at which it will not, as far as is known; or null",
        "active": "false while the account is deactivated: then nothing is allowed",
    },
)


@dataclass(frozen=True)
class _Because:
    """What may have changed the answer: when, and by whom. `event` is the line of history; None for a date."""

    at: datetime
    event: int | None = None
    cause: str = ActorKind.SYSTEM.value


def ask_again(first: int, last: int, at: datetime) -> None:
    """Called when the messages from one position to another have been published, in that transaction."""
    kinds = [kind.name for kind in TYPES.all() if kind.changes_entitlements]
    published = EventMessage.objects.published().filter(position__range=(first, last), type__in=kinds)
    because = {}
    for account_id, happened_at, body in published.values_list("account_id", "happened_at", "body"):
        data = json.loads(body)["data"]
        because[account_id] = _Because(happened_at, data["event"], data["cause"])
    _tell(because, at)


def tell_dates(at: datetime) -> int:
    """Ask again for answers that a date has ended by `at`. Returns how many were others than told."""
    told = 0
    while True:
        with transaction.atomic():
            if not locks.try_take(Lock.FEED):
                return told
            due = EventStream.objects.filter(entitlements_until__lte=at).order_by("entitlements_until")
            because = {
                stream.pk: _Because(stream.entitlements_until) for stream in due[:BATCH] if stream.entitlements_until
            }
            if not because:
                return told
            told += _tell(because, at)


def _tell(because: Mapping[uuid.UUID, _Because], at: datetime) -> int:
    """Write a message for each of these accounts whose answer is not the one that was told. In the caller's lock."""
    if not because:
        return 0
    streams = EventStream.objects.in_bulk(because)
    messages, accounts = [], Account.objects.in_bulk(because)
    for account_id, why in because.items():
        stream, account = streams[account_id], accounts.get(account_id)
        stream.entitlements_until = None
        if account is None or account.purging_at:
            # `account.erasing` has said that nothing is allowed any more.
            continue
        found = entitlements_of(account, max(at, why.at))
        # A date that has passed already is asked about when it is written down elsewhere, never in a circle.
        stream.entitlements_until = found.until if found.until and found.until > at else None
        answer = _answer(found)
        if stream.entitlements == answer:
            continue
        stream.entitlements = answer
        head, tail = telling.halves(
            CHANGED, account_id=account_id, event=why.event, at=why.at, cause=why.cause, payload=answer
        )
        body = f"{head}{json.dumps(account.external_id)}{tail}"
        messages.append(EventMessage(account_id=account_id, type=CHANGED, happened_at=why.at, body=body))
    EventMessage.objects.bulk_create(messages)
    EventStream.objects.bulk_update(streams.values(), ["entitlements", "entitlements_until"])
    return len(messages)


def _answer(found: Entitlements) -> dict[str, Any]:
    return {
        "plan": found.plan,
        "features": sorted(found.features),
        "since": rfc3339(found.since),
        "until": rfc3339(found.until) if found.until else None,
        "active": found.active,
    }
