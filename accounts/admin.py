"""Customers at the support desk: lists to look at, and the page of an account. State changes by acts alone."""

import uuid
from collections.abc import Iterator
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, references
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.desk import staffing
from accounts.desk.account_page.search import as_typed, find, of_account, person, same
from accounts.desk.own.deliveries import delivery_id
from accounts.desk.pages import account_page, account_url, request_page
from accounts.desk.read_only_admin import COUNTED, ReadOnlyAdmin
from accounts.erasure.certificates import Certificate
from accounts.erasure.holds import Hold
from accounts.erasure.purge import Purge
from accounts.exports.export import Export
from accounts.models import (
    Account,
    ApiToken,
    Delivery,
    Dispatch,
    Endpoint,
    Event,
    Notice,
    RefusedMessage,
    RemoteErasure,
    StaffAction,
    StoreGate,
    SupportRequest,
    SweepRun,
    User,
)
from accounts.support.requests import SupportRequestQuerySet
from accounts.views import certificate as certificate_views

OF_ACCOUNT = _("Whatever an account is found by: name, email, login, id or reference")


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """The list of accounts, and for each the page that tells its story (`accounts.desk.pages`)."""

    list_display = ["name", "id", "created_at", "deactivated_at", "purging_at"]
    ordering = ["name"]
    found_by = [of_account("pk")]
    search_help_text = _("Name, email, login, id or reference")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Account]", search_term: str
    ) -> "tuple[QuerySet[Account], bool]":
        """What `changelist_view` has found."""
        found = getattr(request, "found_accounts", None)
        return (queryset if found is None else queryset.filter(pk__in=found)), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; a search that means one account alone leads straight to it, erased or not."""
        if text := as_typed(request.GET.get("q", "")):
            found = find(text)
            if len(found) == 1 and request.method == "GET":
                return redirect(account_url(found[0]))
            request.found_accounts = found  # type: ignore[attr-defined]  # read by `get_search_results`
        return super().changelist_view(request, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            account_id = uuid.UUID(object_id)
        except ValueError as error:
            raise Http404 from error
        return account_page(request, account_id)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """People, to be looked at. Who is staff, and in which role, a superuser says: of others, never of themselves."""

    #: What a superuser changes. Names, addresses and passwords are everybody's own.
    editable = ("is_active", "is_staff", "groups")
    list_display = ["email", "name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_active"]
    found_by = [person]
    search_help_text = _("Name or email")
    exclude = ["password", "words"]
    filter_horizontal = ["groups"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return User.signed_in(request.user).is_superuser and (obj is None or obj.pk != request.user.pk)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [name for name in self.get_fields(request, obj) if name not in self.editable]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = [*User._meta.fields, *User._meta.many_to_many]
        hidden = {*self.exclude, "id", "is_superuser", "user_permissions"}
        return [field.name for field in fields if field.name not in hidden]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """In the admin's transaction: what was changed stands in the history, by ids and codes."""
        super().save_related(request, form, formsets, change)
        if not form.changed_data:
            return
        changed = cast(User, form.instance)
        by, at = Actor.staff(User.signed_in(request.user)), clock.now()
        if not (changed.is_staff and changed.is_active):
            staffing.leave_desk(changed, by=by, at=at)
        history.record(
            None,
            AccountEvent.DESK_STAFF_CHANGED,
            at=at,
            by=by,
            person=changed.pk,
            may_sign_in=changed.is_active,
            is_staff=changed.is_staff,
            roles=sorted(changed.groups.values_list("name", flat=True)),
        )


@admin.register(StaffAction)
class DeedAdmin(ReadOnlyAdmin):
    list_display = ["at", "act", "account_id", "by", "target"]
    list_select_related = ["by"]
    ordering = ["-id"]


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "kind", "account_id", "actor_kind", "actor_id"]
    found_by = [of_account()]
    search_help_text = OF_ACCOUNT


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["kind", "account", "recipient", "address", "queued_at", "sent_at", "attempts", "last_error"]
    list_filter = [("sent_at", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "recipient"]


class QueueFilter(admin.SimpleListFilter):
    """What a member of staff comes for; what waits for us comes first."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("mine", _("mine")),
            ("unassigned", _("nobody’s")),
            ("overdue", _("overdue")),
            ("open", _("all open ones")),
            ("all", _("all")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The first choice is what is shown when nothing is chosen, and says so."""
        waiting, *others = super().choices(changelist)
        yield {**waiting, "display": _("waiting for us")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: "QuerySet[SupportRequest]") -> "QuerySet[SupportRequest]":
        rows = cast(SupportRequestQuerySet, queryset)
        match self.value():
            case "mine":
                return rows.open().assigned_to(User.signed_in(request.user))
            case "unassigned":
                return rows.waiting().unassigned()
            case "overdue":
                return rows.overdue(clock.now())
            case "open":
                return rows.open()
            case "all":
                return rows
        return rows if request.GET.get("q") else rows.waiting()


@admin.register(SupportRequest)
class SupportRequestAdmin(ReadOnlyAdmin):
    """The queue of requests, and for each the page of its conversation."""

    list_display = ["reference", "kind", "account", "made_at", "due_at", "state_now", "assigned_to"]
    list_filter = [QueueFilter, "kind"]
    list_select_related = ["account", "assigned_to"]
    found_by = [same("reference", references.canonical), of_account()]
    search_help_text = _("Reference, or whatever an account is found by")

    def get_ordering(self, request: HttpRequest) -> "list[str | Combinable]":
        """What is due first comes first; of all there ever were, the newest."""
        return ["-id"] if request.GET.get("queue") == "all" else ["due_at", "id"]

    @admin.display(description=_("state"))
    def state_now(self, request: SupportRequest) -> str:
        return str(request.get_outcome_display() or request.state.label)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return request_page(request, object_id)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Who may call the API. A token itself is shown once, by the command that makes it (`manage.py token`)."""

    list_display = ["name", "lookup", "scopes", "made_at", "expires_at", "last_used_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    exclude = ["digest"]
    ordering = ["-id"]


#: Of an endpoint's dispatches so many are on its page; the list has all.
NEWEST = 20


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Who hears what happens here, how it answers, and what it was told last."""

    list_display = ["name", "address", "state", "failing_since", "delivered_at", "waiting", "made_at"]
    list_filter = [("removed_at", admin.EmptyFieldListFilter), "off_because"]
    #: How it is comes first; its secrets are shown nowhere.
    fields = [
        "state",
        "address",
        "heard",
        "waiting",
        "newest",
        "failing_since",
        "warned_at",
        "paused_until",
        "delivered_at",
        "previous_until",
        "off_at",
        "removed_at",
        "made_at",
        "made_by",
        "version",
        "id",
    ]
    readonly_fields = ["state", "heard", "waiting", "newest", "id"]
    ordering = ["made_at"]

    @admin.display(description=_("types"))
    def heard(self, endpoint: Endpoint) -> str:
        return ", ".join(endpoint.types) or str(_("all, also those that come later"))

    @admin.display(description=_("state"))
    def state(self, endpoint: Endpoint) -> str:
        if endpoint.removed_at:
            return str(_("removed"))
        if endpoint.off_at:
            return str(_("off: %(why)s") % {"why": endpoint.get_off_because_display()})
        return str(_("failing")) if endpoint.failing_since else str(_("on"))

    @admin.display(description=_("messages waiting"))
    def waiting(self, endpoint: Endpoint) -> str:
        """Counted no further than anybody reads."""
        count = endpoint.dispatches.pending()[: COUNTED + 1].count()
        return f"{COUNTED}+" if count > COUNTED else str(count)

    @admin.display(description=_("newest dispatches"))
    def newest(self, endpoint: Endpoint) -> str:
        dispatches = endpoint.dispatches.select_related("message").defer("message__body").order_by("-id")[:NEWEST]
        return render_to_string("admin/desk/dispatches.html", {"endpoint": endpoint, "dispatches": dispatches})


@admin.register(Dispatch)
class DispatchAdmin(ReadOnlyAdmin):
    """What endpoints were told: each series of attempts, with its last answer as text."""

    list_display = ["made_at", "endpoint", "message", "account_id", "state", "attempts", "status", "seconds", "said"]
    list_filter = [
        "endpoint",
        ("delivered_at", admin.EmptyFieldListFilter),
        ("given_up_at", admin.EmptyFieldListFilter),
    ]
    list_select_related = ["endpoint", "message"]
    found_by = [of_account()]
    search_help_text = OF_ACCOUNT
    ordering = ["-id"]

    @admin.display(description=_("answer"))
    def said(self, dispatch: Dispatch) -> str:
        return Truncator(dispatch.answer or dispatch.last_error).chars(80)


@admin.register(SweepRun)
class SweepRunAdmin(ReadOnlyAdmin):
    list_display = ["name", "started_at", "finished_at", "handled", "last_error"]


@admin.register(Purge)
class PurgeAdmin(ReadOnlyAdmin):
    list_display = [
        "account_id",
        "cause",
        "due_at",
        "deadline_at",
        "started_at",
        "verified_at",
        "called_off_at",
        "waiting_for",
        "last_error",
    ]
    list_filter = ["cause", ("verified_at", admin.EmptyFieldListFilter), ("called_off_at", admin.EmptyFieldListFilter)]
    found_by = [of_account()]
    search_help_text = OF_ACCOUNT


@admin.register(RemoteErasure)
class RemoteErasureAdmin(ReadOnlyAdmin):
    """What stores elsewhere were asked to erase."""

    list_display = ["store", "account_id", "said", "promised_at", "done_at", "how", "attempts", "last_error"]
    list_filter = ["store", "said", ("done_at", admin.EmptyFieldListFilter)]
    list_select_related = ["purge"]
    found_by = [of_account()]
    search_help_text = OF_ACCOUNT


@admin.register(StoreGate)
class StoreGateAdmin(ReadOnlyAdmin):
    """What stores elsewhere say they are."""

    list_display = ["name", "version", "takes_days", "discovered_at", "discovery_error", "paused_until"]


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ["account_id", "set_by_id", "set_at", "until", "confirmed_by_id", "released_at"]
    found_by = [of_account()]
    search_help_text = OF_ACCOUNT


@admin.register(Certificate)
class CertificateAdmin(ReadOnlyAdmin):
    """The proof that an account was erased: a page to print, and the same as JSON."""

    list_display = ["number", "account_id", "issued_at", "print_page", "json_file"]
    found_by = [of_account()]
    search_help_text = OF_ACCOUNT

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:number>/print/", view(self.printed), name="certificate_print"),
            path("<int:number>/json/", view(self.downloaded), name="certificate_json"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description=_("to print"))
    def print_page(self, certificate: Certificate) -> str:
        return format_html('<a href="{}">{}</a>', reverse("admin:certificate_print", args=[certificate.pk]), _("Page"))

    @admin.display(description=_("as a file"))
    def json_file(self, certificate: Certificate) -> str:
        return format_html('<a href="{}">JSON</a>', reverse("admin:certificate_json", args=[certificate.pk]))

    def printed(self, request: HttpRequest, number: int) -> HttpResponse:
        found = self._find(request, number)
        return certificate_views.page(request, found, json=reverse("admin:certificate_json", args=[number]))

    def downloaded(self, request: HttpRequest, number: int) -> HttpResponse:
        return certificate_views.record_file(self._find(request, number))

    def _find(self, request: HttpRequest, number: int) -> Certificate:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Certificate, pk=number)


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    list_display = ["account", "asked_at", "finished_at", "expires_at", "size", "attempts", "last_error"]
    # The archive itself is for its owner.
    exclude = ["file", "position"]
    list_select_related = ["account"]


class Attention(admin.SimpleListFilter):
    """What staff come for. Each choice is as fast as what it shows is short: there are indexes on just that."""

    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("not processed yet")), ("parked", _("parked")), ("alert", _("with an alert"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Delivery]") -> "QuerySet[Delivery]":
        if self.value() == "waiting":
            return queryset.filter(processed_at=None)
        if self.value() == "parked":
            return queryset.filter(processed_at=None, next_attempt_at=None)
        if self.value() == "alert":
            return queryset.exclude(alert="")
        return queryset


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "source", "event", "action", "outcome", "external_account", "last_error", "alert"]
    list_filter = [Attention, "source"]
    found_by = [delivery_id, same("external_account"), of_account()]
    search_help_text = _("Delivery id, the sender’s number of a customer, or whatever an account is found by")
    exclude = ["body", "digest"]
    readonly_fields = ["text"]
    ordering = ["-id"]

    @admin.display(description=_("body"))
    def text(self, delivery: Delivery) -> str:
        if delivery.body is None:
            return "-"
        return format_html("<pre>{}</pre>", bytes(delivery.body).decode(errors="replace"))


@admin.register(RefusedMessage)
class RefusedMessageAdmin(ReadOnlyAdmin):
    list_display = ["hour", "source", "reason", "count", "claimed", "first_at", "last_at"]
    list_filter = ["source", "reason"]
