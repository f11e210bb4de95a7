"""From a line of history to messages: called by the one place that records history, in the same transaction.

Whatever was recorded together is told by one statement. It takes no lock: who changes something else of the same
account is not held up, nor is settling, which writes thousands of lines at once. The order of an account, and its
numbers, are given when the messages are published.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, LiteralString

from django.db import connection

from accounts.core.clock import rfc3339
from accounts.core.locks import OutsideOfTransaction
from accounts.customers.history import ActorKind, Event
from accounts.events.message import UNPUBLISHED, VERSION, EventMessage
from accounts.events.message_type import BUILDS, TYPES, MessageType

#: What a line of history says if a file brought it in (`facts`), and what its messages do.
IMPORT = "import"

#: Of an account that is being erased, or has been, nothing is told but its last words. They stay when all else goes, so
#: they don't say what the vendor calls the customer: some call them by an address.
_INSERT: LiteralString = """
INSERT INTO accounts_eventmessage (webhook_id, account_id, type, version, happened_at, body)
SELECT gen_random_uuid(), told.account_id, told.type, %s, told.happened_at,
       told.head || CASE WHEN told.last_words OR account.external_id IS NULL THEN 'null'
                         ELSE to_json(account.external_id)::text END || told.tail
  FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::boolean[])
       WITH ORDINALITY AS told(account_id, type, happened_at, head, tail, last_words, place)
  LEFT JOIN accounts_account AS account ON account.id = told.account_id
 WHERE told.last_words OR (account.id IS NOT NULL AND account.purging_at IS NULL)
 ORDER BY told.place
"""


def tell(events: Sequence[Event]) -> None:
    """Write the messages of these lines, which have been written. One statement; none if there is nothing to tell.

    Raises `OutsideOfTransaction`: a message without its change, or a change without its message, must not be.
    """
    rows = [
        (account_id, kind.name, event.at, *_halves(event, kind, payload), kind.last_words)
        for account_id, event, kind, payload in _told_of(events)
    ]
    if not rows:
        return
    if not connection.in_atomic_block:
        raise OutsideOfTransaction(rows[0][1])
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [VERSION, *(list(column) for column in zip(*rows, strict=True))])


def rows(events: Iterable[Event], *, external_id: str | None) -> list[EventMessage]:
    """The messages of these lines, not written yet, of an account with this external id.

    For whoever writes rows of several tables at once (`accounts.database.insert_together`); the lines have their ids.
    """
    written = json.dumps(external_id)
    return [
        EventMessage(account_id=account_id, type=kind.name, happened_at=event.at, body=f"{head}{written}{tail}")
        for account_id, event, kind, payload in _told_of(events)
        for head, tail in [_halves(event, kind, payload)]
    ]


def _told_of(events: Iterable[Event]) -> Iterator[tuple[uuid.UUID, Event, MessageType, dict[str, Any]]]:
    for event in events:
        account_id = event.account_id
        if account_id is None:
            continue
        for name, build in BUILDS.get(event.kind, ()):
            payload = build(event)
            if payload is None:
                continue
            for one in payload if isinstance(payload, list) else [payload]:
                yield account_id, event, TYPES.named(name), one


def _halves(event: Event, kind: MessageType, payload: dict[str, Any]) -> tuple[str, str]:
    """The body, before and after the account's external id. What publishing puts in stands before all that is told."""
    return halves(
        kind.name, account_id=event.account_id, event=event.pk, at=event.at, cause=cause_of(event), payload=payload
    )


def halves(
    name: str, *, account_id: uuid.UUID | None, event: int | None, at: datetime, cause: str, payload: dict[str, Any]
) -> tuple[str, str]:
    head = (
        f'{{"type":"{name}","timestamp":"{rfc3339(at)}","data":{{"event":{json.dumps(event)},"account":"{account_id}"'
    )
    more = json.dumps({"version": VERSION, "cause": cause, **payload}, default=_plain, separators=(",", ":"))
    return f'{head},{UNPUBLISHED},"external_id":', f",{more[1:]}}}"


def cause_of(event: Event) -> str:
    """Who brought it about: the kind of actor, or that it was taken over from another system."""
    return IMPORT if event.facts.get("cause") == IMPORT else ActorKind(event.actor_kind).value


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"no message says {value!r}")
