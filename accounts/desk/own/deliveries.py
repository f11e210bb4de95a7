"""Deliveries at the support desk: what staff can do to one, where it is shown, and how it is found.

Whoever sent it. Declared in `accounts.extension`.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.desk.account_page.timeline import TimelineLine
from accounts.desk.actions.action import Act, Values
from accounts.desk.dashboard.figures import Choice, Column, FigurePlace, Link, Listing, Row
from accounts.inbox import inbox, sources
from accounts.inbox.delivery import Delivery


def process_again(delivery: Delivery, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Put a delivery that failed or was parked back in line; the sweep comes within seconds."""
    return gettext("The delivery is processed with the next run.") if inbox.process_again(delivery, at=at) else None


def acknowledge(delivery: Delivery, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Staff have looked at what could not be read; the alert goes, the history stays."""
    if not Delivery.objects.filter(pk=delivery.pk).exclude(alert="").update(alert=""):
        return None
    history.record(delivery.account_id, AccountEvent.DELIVERY_ACKNOWLEDGED, at=at, by=by, delivery=delivery.pk)
    return gettext("The alert is acknowledged.")


def timeline(account_id: uuid.UUID, before: datetime, limit: int) -> list[TimelineLine]:
    """What others told us about the account."""
    found = Delivery.objects.filter(account_id=account_id, received_at__lte=before).defer("body")
    return [
        TimelineLine(
            delivery.received_at,
            "delivery",
            f"{delivery.get_source_display()} {delivery.event} {delivery.action}",
            who=delivery.get_source_display(),
            facts=delivery.alert or delivery.last_error or str(delivery.get_outcome_display()),
            link=delivery_url(delivery),
        )
        for delivery in found.order_by("-received_at", "-pk")[:limit]
    ]


def delivery_url(delivery: Delivery) -> str:
    """The delivery's page."""
    return reverse("admin:accounts_delivery_change", args=[delivery.pk])


def delivery_id(text: str) -> Q:
    """A delivery by its id. The sources are named so that the search uses the index over source and id."""
    return Q(source__in=sources.names(), delivery_id=text)


def by_delivery(text: str) -> Iterable[uuid.UUID]:
    found = Delivery.objects.filter(delivery_id(text), account_id__isnull=False)
    return [account_id for account_id in found.values_list("account_id", flat=True) if account_id]


def _failing() -> Listing:
    return Listing(
        name="deliveries",
        title=_("Failing deliveries"),
        definition=_("Messages of others that could not be processed; a parked one waits for staff."),
        place=FigurePlace.AT_RISK,
        columns=(
            Column("received_at", _("received")),
            Column("delivery_id", _("delivery")),
            Column("source", _("source")),
            Column("event", _("event")),
            Column("attempts", _("attempts")),
            Column("next_attempt_at", _("next attempt")),
            Column("last_error", _("last error")),
        ),
        find=lambda at, zone: (
            Delivery.objects.unprocessed()
            .filter(Q(attempts__gt=0) | Q(next_attempt_at=None))
            .defer("body")
            # The parked ones first: they wait for staff.
            .order_by("-next_attempt_at", "-id")
        ),
        row=_row,
        empty=_("Every delivery was processed."),
    )


def _row(delivery: Delivery, at: datetime) -> Row:
    return (
        delivery.received_at,
        Link(delivery.delivery_id, delivery_url(delivery)),
        Choice(delivery.source, delivery.get_source_display()),
        delivery.event,
        delivery.attempts,
        delivery.next_attempt_at or Choice("parked", _("parked")),
        delivery.last_error,
    )


ACTIONS = (
    Act(
        "process_again",
        _("Process again"),
        Delivery,
        roles.MEND,
        process_again,
        account_of=lambda delivery: delivery.account_id,
        in_bulk=True,
        offered=lambda delivery, at: delivery.processed_at is None,
    ),
    Act(
        "acknowledge",
        _("Acknowledge the alert"),
        Delivery,
        roles.MEND,
        acknowledge,
        account_of=lambda delivery: delivery.account_id,
        in_bulk=True,
        offered=lambda delivery, at: bool(delivery.alert),
    ),
)
FIGURES = (_failing(),)
FINDERS = (by_delivery,)
TIMELINE_SOURCES = (timeline,)
