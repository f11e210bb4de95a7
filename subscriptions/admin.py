"""Subscriptions in the support staff's site: to be looked at."""

from django.contrib import admin

from accounts.desk.lists import ReadOnlyAdmin, ReadOnlyInline
from subscriptions.models import Cancellation, Plan, Price, Subscription


class CancellationInline(ReadOnlyInline):
    model = Cancellation


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["account", "plan", "channel", "started_at", "ends_at", "settled_at"]
    list_filter = ["channel", "plan"]
    list_select_related = ["account", "plan"]
    search_fields = ["account__name"]
    inlines = [CancellationInline]


@admin.register(Cancellation)
class CancellationAdmin(ReadOnlyAdmin):
    list_display = ["reference", "subscription", "requested_at", "effective_at", "withdrawn_at", "carried_out_at"]
    list_select_related = ["subscription"]
    search_fields = ["reference"]


class PriceInline(ReadOnlyInline):
    model = Price


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ["name", "code", "features"]
    inlines = [PriceInline]
