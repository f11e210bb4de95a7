"""Subscriptions in the support staff's site: to be looked at."""

from django.contrib import admin

from accounts.admin import ReadOnly
from subscriptions.models import Cancellation, Plan, Price, Subscription


class CancellationInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    model = Cancellation
    extra = 0


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["account", "plan", "channel", "started_at", "ends_at", "settled_at"]
    list_filter = ["channel", "plan"]
    list_select_related = ["account", "plan"]
    search_fields = ["account__name"]
    show_full_result_count = False
    inlines = [CancellationInline]


@admin.register(Cancellation)
class CancellationAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["reference", "subscription", "requested_at", "effective_at", "withdrawn_at", "carried_out_at"]
    list_select_related = ["subscription"]
    search_fields = ["reference"]
    show_full_result_count = False


class PriceInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Price
    extra = 0


@admin.register(Plan)
class PlanAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "code", "features"]
    inlines = [PriceInline]
