"""Small readings of Stripe's objects, where whole ones are not needed. Lenient: what is missing is None."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any


def instant(seconds: object) -> datetime | None:
    """Stripe counts whole seconds since 1970, UTC."""
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and seconds else None


def items(listed: object) -> list[Mapping[str, Any]]:
    """What stands in a list object."""
    found = listed.get("data") if isinstance(listed, Mapping) else None
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def first_start(subscription: Mapping[str, Any]) -> datetime | None:
    """When the current period began: periods stand on items."""
    return min(_instants(subscription, "current_period_start"), default=None)


def last_end(subscription: Mapping[str, Any]) -> datetime | None:
    """When the current period ends."""
    return max(_instants(subscription, "current_period_end"), default=None)


def reference(thing: object) -> str:
    """The id of what is an id, or an object that was expanded; empty for neither."""
    if isinstance(thing, Mapping):
        thing = thing.get("id")
    return thing if isinstance(thing, str) else ""


def _instants(subscription: Mapping[str, Any], field: str) -> Iterator[datetime]:
    for item in items(subscription.get("items")):
        if found := instant(item.get(field)):
            yield found
