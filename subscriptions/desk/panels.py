"""What this app shows of an account at the support desk: its plan now and next, and every subscription it had."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input, references
from accounts.desk.account_page import search
from accounts.desk.account_page.panels import Panel, Subject
from subscriptions.billing.provider import who_charges
from subscriptions.billing_record import BillingRecord
from subscriptions.current_plan import standing_of
from subscriptions.models import Cancellation, Channel, Finding, Holding, Plan, Refund, Subscription, Wish
from subscriptions.pricing.repricing import announced, price_at
from subscriptions.refunds.refund import PAID_ELSEWHERE

MARKETPLACES = (Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE)
#: Subscriptions on the page, the newest first.
MOST = 10


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
        "cents": price_at(live, at) if live else None,
        "new_price": announced(live) if live else None,
        "cycle": live.cycle(at) if live else None,
        "on_trial": bool(live and live.on_trial(at)),
        "money_back": bool(live and live.money_back_open(at)),
        # A marketplace owns its dates: what it says of them stands in its own panel.
        "is_a_marketplaces": bool(live and live.channel in MARKETPLACES),
        "paid_elsewhere": PAID_ELSEWHERE.get(live.channel) if live else None,
    }


def refunds(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Every refund with how far it has come, the newest first."""
    if subject.account is None:
        return None
    found = Refund.objects.filter(subscription__account=subject.account).order_by("-proposed_at")
    rows = list(found.select_related("subscription", "request", "proposed_by", "approved_by", "declined_by")[:MOST])
    return {"refunds": rows} if rows else None


def subscriptions(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """The newest subscriptions with their cancellations."""
    if subject.account is None:
        return None
    cancellations = Cancellation.objects.order_by("-requested_at").select_related("requested_by")
    found = Subscription.objects.of(subject.account).select_related("plan").order_by("-started_at", "-pk")
    rows = list(found.prefetch_related(Prefetch("cancellations", cancellations))[:MOST])
    return {"subscriptions": rows} if rows else None


def billing(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """What is wished of whoever charges, what they hold, and what staff have to look at there."""
    if subject.account is None:
        return None
    wishes = Wish.objects.filter(subscription__account=subject.account).order_by("agreed_at", "-wished_at")
    rows = [
        {"wish": wish, "provider": who_charges(wish.subscription)}
        for wish in wishes.select_related("subscription__plan", "done_by", "confirmed_by")[:MOST]
    ]
    holdings = list(Holding.objects.filter(subscription__account=subject.account).order_by("-subscription")[:MOST])
    findings = list(Finding.objects.open().filter(account=subject.account).order_by("-found_at")[:MOST])
    return {"wishes": rows, "holdings": holdings, "findings": findings} if rows or holdings or findings else None


def billing_records(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """What the law had us keep of an account that has been erased."""
    records = list(BillingRecord.objects.filter(account_id=subject.account_id).order_by("pk"))
    return {"records": records} if records else None


def by_reference(text: str) -> Iterator[uuid.UUID]:
    """By the reference of a cancellation, a refund, or a sales team's order."""
    if reference := references.canonical(text):
        yield from Cancellation.objects.filter(reference=reference).values_list("subscription__account_id", flat=True)
        yield from Refund.objects.filter(reference=reference).values_list("subscription__account_id", flat=True)
    if order := foreign_input.key(text):
        yield from Subscription.objects.filter(order_key=order).values_list("account_id", flat=True)[: search.MOST]


def by_external_id(text: str) -> Iterator[uuid.UUID]:
    """By what the vendor's own systems call a subscription."""
    if external_id := foreign_input.external_id_or_nothing(text):
        yield from Subscription.objects.filter(external_id=external_id).values_list("account_id", flat=True)


PANELS = (
    Panel(_("Subscription"), "subscriptions/desk/standing.html", standing, place=10),
    Panel(_("Billing"), "subscriptions/desk/wishes.html", billing, place=15),
    Panel(_("Refunds"), "subscriptions/desk/refunds.html", refunds, place=25, is_wide=True),
    Panel(_("All subscriptions"), "subscriptions/desk/subscriptions.html", subscriptions, place=40, is_wide=True),
    Panel(_("Billing records"), "subscriptions/desk/billing_records.html", billing_records, place=70, is_wide=True),
)

FINDERS = (by_external_id, by_reference)
