"""Sending again what an endpoint has had already, or never got: one message, or all of a stretch of time.

Each is another series of attempts of the same message, with the same id, by which a receiver knows that it is no new
one. In the order of the feed, before whatever comes later.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.events.dispatch import Dispatch
from accounts.events.endpoint import Endpoint
from accounts.events.fan_out import dispatch_again
from accounts.events.managing import Removed
from accounts.events.message import EventMessage

#: Written by one statement.
BATCH = 5000


class NothingToReplay(Refused):
    text = _("There is nothing to send again: a test is made anew, and messages are kept for 30 days.")


class BackwardRange(Refused):
    text = _("The end has to come after the beginning.")


def replay(dispatch: Dispatch, *, by: Actor, at: datetime) -> bool:
    """Send this message again. Returns whether that was needed: not while it waits anyway."""
    if dispatch.message_id is None:
        raise NothingToReplay
    with transaction.atomic():
        _standing(dispatch.endpoint)
        made = dispatch_again(dispatch.endpoint_id, [dispatch.message_id], at=at)
        if made:
            _record(dispatch.endpoint, made, by=by, at=at)
    return bool(made)


def replay_range(
    endpoint: Endpoint, *, since: datetime, until: datetime, by: Actor, at: datetime, undelivered: bool = False
) -> int:
    """Send again what was published from `since` until before `until` and the endpoint hears. Returns how many.

    Also what is older than the endpoint. `undelivered`: only what it has not got. What waits anyway is not sent twice.
    """
    if since >= until:
        raise BackwardRange
    with transaction.atomic():
        _standing(endpoint)
        wanted = list(
            messages(endpoint, since=since, until=until, undelivered=undelivered).values_list("pk", flat=True)
        )
        made = sum(
            dispatch_again(endpoint.pk, wanted[start : start + BATCH], at=at) for start in range(0, len(wanted), BATCH)
        )
        if made:
            _record(endpoint, made, by=by, at=at, since=since.isoformat(), until=until.isoformat())
    return made


def messages(
    endpoint: Endpoint, *, since: datetime, until: datetime, undelivered: bool = False
) -> "QuerySet[EventMessage]":
    """What `replay_range` is about, in the order of the feed."""
    found = EventMessage.objects.published().filter(recorded_at__gte=since, recorded_at__lt=until)
    if endpoint.types:
        found = found.filter(type__in=endpoint.types)
    if undelivered:
        not_got = Dispatch.objects.undelivered().filter(endpoint=endpoint)
        found = found.filter(pk__in=not_got.values("message"))
    return found


def _standing(endpoint: Endpoint) -> None:
    """Raises `Removed`; holds the endpoint as it is until the transaction ends."""
    found = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
    if found.removed_at is not None:
        raise Removed


def _record(endpoint: Endpoint, count: int, *, by: Actor, at: datetime, **facts: object) -> None:
    history.record(
        None, AccountEvent.MESSAGES_REPLAYED, at=at, by=by, endpoint=str(endpoint.pk), messages=count, **facts
    )
