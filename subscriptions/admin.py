"""Subscriptions in the support staff's site: to be looked at."""

import re
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, foreign_input, references, roles
from accounts.core.formats import money
from accounts.customers import features
from accounts.desk.account_page.search import of_account, same
from accounts.desk.read_only_admin import ReadOnlyAdmin, ReadOnlyInline
from subscriptions.billing.holding import MAX_REFERENCE
from subscriptions.desk.plan_page import plan_page
from subscriptions.models import (
    Cancellation,
    Finding,
    ForgettingStep,
    Holding,
    Invoice,
    InvoicePayment,
    Plan,
    Price,
    Purchase,
    Refund,
    Repricing,
    StripeCustomer,
    StripePrice,
    Subscription,
    Wish,
)
from subscriptions.refunds.refund import RefundQuerySet
from subscriptions.stripe.price import map_price

#: As providers' ids are: a kind and what tells it apart. Whatever else is typed needs no look at their indexes.
PROVIDER_ID = re.compile(r"[a-z]+_\w+", re.ASCII)


def provider_id(text: str) -> str:
    """The id if it looks like a provider's, else nothing: for looking something up."""
    return text if len(text) <= MAX_REFERENCE and PROVIDER_ID.fullmatch(text) else ""


class CancellationInline(ReadOnlyInline):
    model = Cancellation


class HoldingInline(ReadOnlyInline):
    model = Holding


class WishInline(ReadOnlyInline):
    model = Wish


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["account", "plan", "channel", "held_by", "started_at", "ends_at", "settled_at"]
    list_filter = ["channel", "plan"]
    list_select_related = ["account", "plan"]
    found_by = [
        same("external_id", foreign_input.external_id_or_nothing),
        same("order_key", foreign_input.key),
        of_account(),
    ]
    search_help_text = _("Order reference, or whatever an account is found by")
    inlines = [HoldingInline, WishInline, CancellationInline]


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


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    """The plans, and for each the page of what it grants and costs (`subscriptions.desk.plan_page`)."""

    list_display = ["name", "code", "grants", "costs", "retired_at"]

    @admin.display(description=_("features"))
    def grants(self, plan: Plan) -> str:
        return ", ".join(str(features.named(code).label) for code in plan.features) or "–"

    @admin.display(description=_("price of a seat"))
    def costs(self, plan: Plan) -> str:
        prices = Price.objects.on_the_list(clock.now()).filter(plan=plan).order_by("currency", "interval")
        return (
            ", ".join(f"{money(price.cents, price.currency)} {price.get_interval_display()}" for price in prices) or "–"
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return plan_page(request, object_id)


@admin.register(Repricing)
class RepricingAdmin(ReadOnlyAdmin):
    list_display = [
        "subscription",
        "price",
        "from_at",
        "notice_at",
        "told_at",
        "carried_out_at",
        "dropped_at",
        "last_error",
    ]
    list_filter = [("carried_out_at", admin.EmptyFieldListFilter), ("dropped_at", admin.EmptyFieldListFilter)]
    list_select_related = ["subscription", "price"]
    ordering = ["-id"]
    found_by = [of_account("subscription__account_id")]
    search_help_text = _("Whatever an account is found by: name, email, login, id or reference")


@admin.register(Wish)
class WishAdmin(ReadOnlyAdmin):
    """What we want of who charges; the open ones first in whoever looks for what is late."""

    list_display = ["subscription", "want", "wanted_end_at", "deadline_at", "agreed_at", "outcome", "last_error"]
    list_filter = [("agreed_at", admin.EmptyFieldListFilter), "want"]
    list_select_related = ["subscription"]
    ordering = ["-subscription"]
    found_by = [of_account("subscription__account_id")]
    search_help_text = _("Whatever an account is found by: name, email, login, id or reference")


@admin.register(Holding)
class HoldingAdmin(ReadOnlyAdmin):
    list_display = ["reference", "provider", "subscription", "status", "status_word", "due_end_at", "read_at"]
    list_filter = ["provider", "status"]
    list_select_related = ["subscription"]
    ordering = ["-subscription"]
    found_by = [
        same("reference", provider_id),
        same("customer_reference", provider_id),
        of_account("subscription__account_id"),
    ]
    search_help_text = _("The provider’s id, or whatever an account is found by")


class InvoicePaymentInline(ReadOnlyInline):
    model = InvoicePayment


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ["reference", "number", "subscription", "status", "cents_due", "cents_paid", "currency", "issued_at"]
    list_filter = ["status"]
    list_select_related = ["subscription"]
    ordering = ["-id"]
    found_by = [
        same("reference", provider_id),
        of_account("subscription__account_id"),
    ]
    search_help_text = _("The provider’s id, or whatever an account is found by")
    inlines = [InvoicePaymentInline]


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyAdmin):
    list_display = ["reference", "account", "plan", "seats", "state", "begun_at", "expires_at", "closed_at"]
    list_filter = ["state"]
    list_select_related = ["account", "plan"]
    ordering = ["-id"]
    found_by = [same("reference", references.canonical), of_account()]
    search_help_text = _("Reference, or whatever an account is found by")


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ["what", "provider", "account", "reference", "found_at", "seen_at", "closed_at"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    fields = [
        "what",
        "to_do",
        "account",
        "provider",
        "reference",
        "facts",
        "found_at",
        "seen_at",
        "closed_at",
        "closed_by",
        "code",
    ]
    readonly_fields = ["what", "to_do"]
    ordering = ["-id"]
    found_by = [same("reference", provider_id), of_account()]
    search_help_text = _("The provider’s id, or whatever an account is found by")

    @admin.display(description=_("what"))
    def what(self, finding: Finding) -> str:
        return str(finding.label)

    @admin.display(description=_("what to do"), empty_value="")
    def to_do(self, finding: Finding) -> str:
        return str(finding.to_do)


@admin.register(StripeCustomer)
class StripeCustomerAdmin(ReadOnlyAdmin):
    list_display = ["reference", "account", "livemode", "checked_at", "check_at", "check_error", "deleted_at"]
    list_filter = ["livemode", ("check_at", admin.EmptyFieldListFilter), ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account"]
    ordering = ["-id"]
    found_by = [same("reference", foreign_input.external_id_or_nothing), of_account()]
    search_help_text = _("The provider’s id, or whatever an account is found by")


@admin.register(StripePrice)
class StripePriceAdmin(ReadOnlyAdmin):
    """Leads say which of our plans it buys: nothing else of it is edited, and Stripe's data no longer count then."""

    list_display = ["reference", "lookup_key", "plan", "interval", "cents", "currency", "active", "unmapped_because"]
    list_filter = ["active", "unmapped_because", "plan"]
    list_select_related = ["plan"]
    ordering = ["reference"]
    found_by = [
        same("reference", foreign_input.external_id_or_nothing),
        same("lookup_key", foreign_input.external_id_or_nothing),
        same("product", foreign_input.external_id_or_nothing),
    ]
    search_help_text = _("The provider’s id, its lookup key, or its product")
    readonly_fields = [
        "reference",
        "lookup_key",
        "product",
        "product_says",
        "interval",
        "cents",
        "currency",
        "active",
        "unmapped_because",
        "mapped_at",
        "read_at",
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(roles.PLANS)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        map_price(obj, obj.plan, at=clock.now())


@admin.register(ForgettingStep)
class ForgettingStepAdmin(ReadOnlyAdmin):
    """What is to be done at Stripe for erased accounts, and was; by the account's id, which is all that is left."""

    list_display = ["customer", "kind", "account_id", "due_at", "done_at", "last_error"]
    list_filter = [("done_at", admin.EmptyFieldListFilter), "kind"]
    ordering = ["-id"]
    found_by = [same("customer", foreign_input.external_id_or_nothing), of_account("account_id")]
    search_help_text = _("Stripe’s id, or whatever an account is found by")
