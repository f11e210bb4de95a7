"""The feed: every message of the last thirty days, in one order, for whoever asks. The same rows that endpoints get.

A position is the microsecond in which a message was published (`accounts.events.publishing`), so it says how old a
reader's place is: one that may have missed what is gone is told so, instead of going on in silence.
"""

import json
import uuid
from datetime import timedelta
from typing import Annotated, Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from accounts.api import problems
from accounts.api.answers import answer
from accounts.api.caller import Token
from accounts.api.cursors import Limit
from accounts.api.fields import Told
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import Scope
from accounts.events.message import KEPT_FOR, EventMessage
from accounts.events.message_type import TYPES

router = Router(tags=["events"])
After = Annotated[
    str,
    Field(max_length=19, description="`next` of the answer before; without it, from the oldest message that is kept."),
]
Types = Annotated[str, Field(max_length=1000, description="Only these types, comma-separated.")]
#: Nobody publishes for so long: what is published from now on has a place behind the present less this.
MARGIN = timedelta(hours=1)
_SECOND = 1_000_000


class EventTold(Told):
    #: `webhook-id` of the call that brings the same message to an endpoint.
    id: uuid.UUID
    type: str
    timestamp: str
    data: dict[str, Any]


class EventPage(Told):
    items: list[EventTold]
    #: Where to go on, whether or not there was anything.
    next: str


@router.get("events/", auth=Token(Scope.EVENTS_READ), response=EventPage)
def list_events(request: HttpRequest, after: After = "", types: Types = "", limit: Limit = 50) -> HttpResponse:
    """What has happened to accounts since `after`, oldest first. Ask again with `next`, as often as you like."""
    position, present = _position(after), _present()
    if after and position < present - _microseconds(KEPT_FOR):
        raise Problem(problems.EVENTS_GONE)
    rows = EventMessage.objects.published().filter(position__gt=position)
    if types:
        rows = rows.filter(type__in=_types(types))
    found = list(rows[: limit + 1])
    page = found[:limit]
    # At the end the place moves on with the time: of a quiet month nobody is told that it may be gone.
    following = page[-1].position if page else position
    if len(found) <= limit:
        following = max(following or 0, present - _microseconds(MARGIN))
    return answer(request, EventPage(items=[_told(message) for message in page], next=str(following)))


def _told(message: EventMessage) -> EventTold:
    return EventTold(id=message.webhook_id, **json.loads(message.body))


def _position(after: str) -> int:
    if not after:
        return 0
    if not (after.isascii() and after.isdigit()) or int(after) >= 2**63:
        error = FieldError("query:after", "cursor", "Send `next` of the answer before, or nothing.")
        raise Problem(problems.INVALID, errors=[error])
    return int(after)


def _types(types: str) -> list[str]:
    names = [name.strip() for name in types.split(",")]
    if not all(name in TYPES for name in names):
        error = FieldError("query:types", "type", "One of these is no type of ours. docs/events.md lists them.")
        raise Problem(problems.INVALID, errors=[error])
    return names


def _present() -> int:
    """By the clock that gives positions: the database's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(cursor.fetchone()[0])


def _microseconds(span: timedelta) -> int:
    return int(span.total_seconds()) * _SECOND
