"""What this app shows of an account at the support desk: its plan now and next, and every subscription it had."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext_lazy as _

from accounts.desk import finding, panels
from accounts.desk.panels import Panel, Subject
from subscriptions.billing_record import BillingRecord
from subscriptions.models import Cancellation, Plan, Subscription
from subscriptions.standing import standing_of

#: Subscriptions on the page, the newest first.
MOST = 10


def register() -> None:
    """Called once, by `SubscriptionsConfig.ready`."""
    panels.register(
        Panel(_("Subscription"), "subscriptions/desk/standing.html", standing, place=10),
        Panel(_("All subscriptions"), "subscriptions/desk/subscriptions.html", subscriptions, place=40, is_wide=True),
        Panel(_("Billing records"), "subscriptions/desk/billing_records.html", billing_records, place=70, is_wide=True),
    )
    finding.register_finder(by_reference)


def standing(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Plan now and next, channel, cycle, open cancellation."""
    if subject.account is None:
        return None
    found = standing_of(subject.account, at)
    live = found.subscription
    return {
        "standing": found,
        "subscription": live,
        "plan": live.plan if live else Plan.objects.free(),
        "cycle": live.cycle(at) if live else None,
        "on_trial": bool(live and live.on_trial(at)),
        "money_back": bool(live and live.money_back_open(at)),
    }


def subscriptions(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """The newest subscriptions with their cancellations."""
    if subject.account is None:
        return None
    cancellations = Cancellation.objects.order_by("-requested_at").select_related("requested_by")
    found = Subscription.objects.of(subject.account).select_related("plan").order_by("-started_at", "-pk")
    rows = list(found.prefetch_related(Prefetch("cancellations", cancellations))[:MOST])
    return {"subscriptions": rows} if rows else None


def billing_records(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """What the law had us keep of an account that has been erased."""
    records = list(BillingRecord.objects.filter(account_id=subject.account_id).order_by("pk"))
    return {"records": records} if records else None


def by_reference(text: str) -> Iterable[uuid.UUID]:
    """By the reference of a cancellation."""
    found = Cancellation.objects.filter(reference=text.upper())
    return found.values_list("subscription__account_id", flat=True)
