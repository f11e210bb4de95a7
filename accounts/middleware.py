"""What every page knows: the reader's language and zone, and the account in front of them."""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.core import clock, limits, time_zones
from accounts.core.limits import TooOften
from accounts.customers import attempts, features
from accounts.customers.access import SESSION_KEY, AccountDeactivated, InNoAccount, OwnerOnly, current_membership
from accounts.customers.account import Membership
from accounts.customers.entitlements import NotEntitled
from accounts.customers.promises import OutOfDate, page_again
from accounts.customers.user import User
from accounts.people.invitation import Invitation
from accounts.signing_in import addresses
from accounts.signing_in.fresh_proof import ProofNeeded, ask_again, guard_ways_in

GetResponse = Callable[[HttpRequest], HttpResponse]

#: Seconds.
MINUTE = 60


class NoStoreMiddleware:
    """No page is kept: neither by a proxy, nor by a browser for whoever uses it next. What says otherwise itself is."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class PreferencesMiddleware:
    """Puts a page in the signed-in reader's language and zone; the browser's language where the reader chose none."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not isinstance(user, User):
            return self.get_response(request)
        if user.language in dict(settings.LANGUAGES):
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()
        if not user.has_zone:
            # Signed in since before the browser was asked, or without the sign-in page.
            user.note_browser_zone(time_zones.told_by_browser(request.COOKIES.get(time_zones.COOKIE, "")))
        with timezone.override(user.zone):
            return self.get_response(request)


class OftenMiddleware:
    """Refuses (429) what a person sends beyond `POSTS_A_MINUTE`; staff, who act for many customers, are not counted."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        sends = request.method not in ("GET", "HEAD", "OPTIONS")
        if (
            sends
            and isinstance(user, User)
            and not user.is_staff
            and limits.is_often("post", user.pk, most=settings.POSTS_A_MINUTE, seconds=MINUTE)
        ):
            return self._refuse(request)
        return self.get_response(request)

    def _refuse(self, request: HttpRequest) -> HttpResponse:
        context = {
            "title": _("One thing at a time"),
            "message": _(
                "You have sent a lot within a minute. Please wait a little and try again. Nothing was changed."
            ),
            "status": int(HTTPStatus.TOO_MANY_REQUESTS),
        }
        answer = render(request, "error.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)
        answer["Retry-After"] = str(MINUTE)
        return answer


class CurrentAccountMiddleware:
    """Sets `request.memberships` (all of the person's, by name) and `request.membership` (the chosen one, or None)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        memberships: list[Membership] = []
        if isinstance(request.user, User):
            memberships = list(
                Membership.objects.filter(user=request.user)
                .select_related("account")
                .order_by("account__name", "account_id")
            )
        chosen = request.session.get(SESSION_KEY) if memberships else None
        request.memberships = memberships  # type: ignore[attr-defined]  # read by `access`
        request.membership = next(  # type: ignore[attr-defined]  # read by `access`
            (membership for membership in memberships if str(membership.account_id) == chosen),
            memberships[0] if memberships else None,
        )
        return self.get_response(request)


class RefusalMiddleware:
    """Turns refusals into pages: a feature that the plan does not include, and a deactivated account (403); a form
    that says what is not so any more (409: its page again, as it is now)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        attempts.note(request, response)
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        return guard_ways_in(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, ProofNeeded):
            return ask_again(request)
        if isinstance(exception, InNoAccount):
            return _in_no_account(request)
        if isinstance(exception, OwnerOnly):
            # Answered here, not raised on: what is raised is written to the log, and this names a person.
            message = f"{exception} {_('Nothing was changed.')}"
            return render(request, "error.html", {"title": _("Not allowed"), "message": message}, status=403)
        context: dict[str, object]
        if isinstance(exception, TooOften):
            message = f"{exception} {_('Nothing was changed.')}"
            context = {"title": _("One thing at a time"), "message": message}
            return render(request, "error.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)
        if isinstance(exception, AccountDeactivated):
            account = exception.account
            context = {
                "account": account,
                "offers_export": exception.membership.is_owner and not account.purging_at,
                "offers_support": not account.purging_at,
                "support_email": settings.SUPPORT_EMAIL,
            }
            return render(request, "accounts/deactivated.html", context, status=403)
        shown = current_membership(request)
        if isinstance(exception, NotEntitled):
            match = request.resolver_match
            context = {
                "account": shown.account if shown else None,
                "feature": features.named(exception.feature),
                "entitlements": exception.entitlements,
                "arguments": match.kwargs if match else {},
            }
            return render(request, "accounts/not_entitled.html", context, status=403)
        if isinstance(exception, OutOfDate):
            try:
                return page_again(request, exception, shown.account_id if shown else None)
            except (AccountDeactivated, InNoAccount, NotEntitled, OwnerOnly, ProofNeeded, TooOften) as refusal:
                # Whoever may not see the page either.
                return self.process_exception(request, refusal)
        return None


def _in_no_account(request: HttpRequest) -> HttpResponse:
    """What to do next, for who belongs to no account; with what their proven address was invited to."""
    user, at = User.signed_in(request.user), clock.of(request)
    invitations: list[Invitation] = []
    if addresses.is_proven(user):
        found = Invitation.objects.to(user).open(at).filter(account__deactivated_at=None, account__purging_at=None)
        invitations = list(found.select_related("account", "invited_by").order_by("-invited_at"))
    return render(request, "accounts/no_account.html", {"invitations": invitations}, status=403)
