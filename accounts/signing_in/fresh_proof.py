"""Fresh proof: what ends or gives away an account asks for the password again, if the sign-in was long ago.

A browser left open, or a session that was stolen, must not be enough to cancel, to have everything deleted, or to
carry all data off. Whoever has signed in within the last hour is not asked. Whoever is asked goes on where they were:
what a form had sent is done once the proof is there, if what the form promised is still so.

What changes the way in itself asks everybody who has not signed in just now: the address, the second factor and the
password by django-allauth (`ACCOUNT_REAUTHENTICATION_REQUIRED`), what is connected, and people who have no password to
give, here.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import suspend_request
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.signing_in.session import signed_in_at

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

#: Long enough to sign in, read, think and decide; shorter than a borrowed desk.
FRESH_FOR = timedelta(hours=1)
#: How long after a proof the way in itself can be changed (as allauth's `REAUTHENTICATION_TIMEOUT`).
JUST_NOW = timedelta(minutes=5)
#: Pages of django-allauth that change the way in. Whoever has a password is asked for it there by allauth itself.
WAYS_IN = frozenset(
    {
        "account_email",
        "account_set_password",
        "socialaccount_connections",
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_generate_recovery_codes",
        "mfa_view_recovery_codes",
        "mfa_download_recovery_codes",
    }
)


#: Those of them where people disconnect what they connected.
CONNECTIONS = frozenset({"socialaccount_connections"})


class ProofNeeded(Exception):
    """The sign-in was too long ago for this. Answered by `ask_again`."""


def require_fresh_proof(request: HttpRequest, within: timedelta = FRESH_FOR) -> None:
    """Raise `ProofNeeded` unless this person has signed in, or proven again who they are, within so long."""
    if not is_fresh(request, within):
        raise ProofNeeded


def fresh_proof(view: View[P]) -> View[P]:
    """A view, a form and its page alike, for whoever has proven lately who they are."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            require_fresh_proof(request)
        return view(request, *args, **kwargs)

    return inner


def is_fresh(request: HttpRequest, within: timedelta) -> bool:
    proven = [record["at"] for record in get_authentication_records(request, request.user)]
    newest = max([*proven, signed_in_at(request) or 0.0])
    return bool(time.time() - newest < within.total_seconds())


def ask_again(request: HttpRequest) -> HttpResponse:
    """To where the password is given again, and back; people without one sign in again as they did."""
    if methods := get_adapter().get_reauthentication_methods(request.user):
        answer: HttpResponse = suspend_request(request, methods[0]["url"])
        return answer
    return render(request, "accounts/sign_in_again.html", {"next": _page_of(request)}, status=403)


def guard_ways_in(request: HttpRequest) -> HttpResponse | None:
    """The answer to whoever would change the way in long after they signed in, and is not asked by allauth; else None.

    That is connecting to GitHub and disconnecting, and people without a password at every such page.
    """
    name = request.resolver_match.url_name if request.resolver_match else ""
    # allauth takes it from the form as well as from the address.
    connects = name == "github_login" and "connect" in (request.GET.get("process"), request.POST.get("process"))
    if request.method != "POST" or not (connects or name in WAYS_IN) or not request.user.is_authenticated:
        return None
    asked_by_allauth = name in WAYS_IN - CONNECTIONS and get_adapter().get_reauthentication_methods(request.user)
    return None if asked_by_allauth or is_fresh(request, JUST_NOW) else ask_again(request)


def _page_of(request: HttpRequest) -> str:
    """Where to go on: the page itself; from a form the first page, for not every form has a page at its address."""
    return request.get_full_path() if request.method in ("GET", "HEAD") else reverse("home")
