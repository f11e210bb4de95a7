"""Subscriptions in the support staff's site: to be looked at."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input, references
from accounts.desk.account_page.search import of_account, same
from accounts.desk.read_only_admin import ReadOnlyAdmin, ReadOnlyInline
from subscriptions.models import Cancellation, Plan, Price, Refund, Subscription
from subscriptions.refunds.refund import RefundQuerySet


class CancellationInline(ReadOnlyInline):
    model = Cancellation


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["account", "plan", "channel", "started_at", "ends_at", "settled_at"]
    list_filter = ["channel", "plan"]
    list_select_related = ["account", "plan"]
    found_by = [
        same("external_id", foreign_input.external_id_or_nothing),
        same("order_key", foreign_input.key),
        of_account(),
    ]
    search_help_text = _("Order reference, or whatever an account is found by")
    inlines = [CancellationInline]


class Undecided(admin.SimpleListFilter):
    """What waits for a decision, or for its end; each as short as its index."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("undecided", _("to be approved")), ("unfinished", _("approved, not finished"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Refund]") -> "QuerySet[Refund]":
        rows = cast(RefundQuerySet, queryset)
        match self.value():
            case "undecided":
                return rows.undecided()
            case "unfinished":
                return rows.unfinished()
        return rows


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = [
        "reference",
        "subscription",
        "cents",
        "currency",
        "proposed_by",
        "proposed_at",
        "approved_at",
        "paid_at",
        "ended_at",
        "declined_at",
    ]
    list_filter = [Undecided]
    list_select_related = ["subscription", "proposed_by"]
    ordering = ["-id"]
    found_by = [same("reference", references.canonical), of_account("subscription__account_id")]
    search_help_text = _("Reference, or whatever an account is found by")


@admin.register(Cancellation)
class CancellationAdmin(ReadOnlyAdmin):
    list_display = ["reference", "subscription", "requested_at", "effective_at", "withdrawn_at", "carried_out_at"]
    list_select_related = ["subscription"]
    found_by = [same("reference", references.canonical), of_account("subscription__account_id")]
    search_help_text = _("Reference, or whatever an account is found by")


class PriceInline(ReadOnlyInline):
    model = Price


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ["name", "code", "features"]
    inlines = [PriceInline]
