"""Purchases at GitHub and AWS, and offboardings, at the support desk: rows to look at. State changes by acts alone."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.desk.account_page.search import of_account, same
from accounts.desk.read_only_admin import ReadOnlyAdmin, ReadOnlyInline
from marketplace.desk.panels import aws_account, customer, purchase
from marketplace.models import (
    AwsAgreement,
    Dimension,
    GitHubCustomer,
    ListingPlan,
    Offboarding,
    OffboardingStep,
    Registration,
    RepositoryHook,
    Tombstone,
    TopicSubscription,
    UserToken,
)


@admin.register(ListingPlan)
class ListingPlanAdmin(ReadOnlyAdmin):
    """The one thing that is edited at the desk: which of our plans a listing plan grants."""

    list_display = ["name", "id", "monthly_cents", "yearly_cents", "state", "plan"]
    list_select_related = ["plan"]
    readonly_fields = ["id", "name", "monthly_cents", "yearly_cents", "price_model", "number", "state"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(roles.MEND)


class StepInline(ReadOnlyInline):
    model = OffboardingStep


@admin.register(Offboarding)
class OffboardingAdmin(ReadOnlyAdmin):
    list_display = ["account_id", "cause", "received_at", "deadline_at", "called_off_at", "finished_at"]
    list_filter = ["cause", ("finished_at", admin.EmptyFieldListFilter), ("called_off_at", admin.EmptyFieldListFilter)]
    found_by = [of_account()]
    search_help_text = _("Whatever an account is found by: name, email, login, id or reference")
    inlines = [StepInline]


@admin.register(GitHubCustomer)
class CustomerAdmin(ReadOnlyAdmin):
    list_display = [
        "login",
        "github_id",
        "account",
        "listing_plan",
        "seats",
        "cancelled_at",
        "checked_at",
        "check_error",
    ]
    list_select_related = ["account", "listing_plan"]
    found_by = [customer, of_account()]
    search_help_text = _("Login, GitHub’s number, or whatever an account is found by")


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnlyAdmin):
    """Purchases that a marketplace goes on with though their accounts were erased."""

    list_display = ["source", "account_id", "made_at", "named_at", "number", "dealt_with_at"]
    list_filter = [("named_at", admin.EmptyFieldListFilter)]
    exclude = ["digest"]
    ordering = ["-named_at", "-pk"]


@admin.register(RepositoryHook)
class RepositoryHookAdmin(ReadOnlyAdmin):
    list_display = ["repository", "hook_id", "account", "registered_at", "deleted_at", "last_error"]
    list_select_related = ["account"]
    list_filter = [("deleted_at", admin.EmptyFieldListFilter)]


@admin.register(UserToken)
class UserTokenAdmin(ReadOnlyAdmin):
    """That there is a token, never the token."""

    list_display = ["login", "user", "obtained_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    exclude = ["access", "refresh"]


@admin.register(AwsAgreement)
class AgreementAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__",
        "aws_account_id",
        "account",
        "dimension",
        "seats",
        "subscribed_at",
        "unsubscribe_pending_at",
        "final_hour_until",
        "ended_at",
        "end_reason",
        "renews_or_ends_at",
        "checked_at",
        "check_error",
    ]
    list_filter = ["end_reason", "auto_renewal", ("account", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "dimension"]
    found_by = [purchase, of_account()]
    search_help_text = _("Agreement, licence, AWS account, customer identifier, or whatever an account is found by")


@admin.register(Registration)
class RegistrationAdmin(ReadOnlyAdmin):
    """Who came from AWS, never the key: it stands for the buyer until it is used."""

    list_display = ["resolved_at", "aws_account_id", "licence_id", "product_code", "opened_at", "used_at", "account"]
    list_select_related = ["account"]
    found_by = [same("aws_account_id", aws_account)]
    search_help_text = _("AWS account")
    exclude = ["key"]


@admin.register(Dimension)
class DimensionAdmin(ReadOnlyAdmin):
    """Which of our plans a dimension grants. Takes effect with AWS's next answer, within hours."""

    list_display = ["name", "product_code", "plan"]
    list_select_related = ["plan"]
    readonly_fields = ["product_code", "name"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(roles.MEND)


@admin.register(TopicSubscription)
class TopicSubscriptionAdmin(ReadOnlyAdmin):
    """That a topic asked, never the token with which anybody could answer."""

    list_display = ["topic", "asked_at", "confirmed_at", "ended_at", "attempts", "next_attempt_at", "last_error"]
    exclude = ["token"]
