"""Signing up by oneself, where `SIGN_UP` is `open`; else a page that says how people come in."""

from http import HTTPStatus

from allauth.account.adapter import get_adapter
from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.core import clock, limits
from accounts.core.client_address import client_address, network_of
from accounts.core.limits import TooOften
from accounts.customers.access import put_in_front
from accounts.customers.promises import OutOfDate, require, stands_on, typed
from accounts.customers.user import User
from accounts.forms import FinishSignUpForm, SignUpForm
from accounts.signing_in import addresses
from accounts.signing_in import sign_up as signing_up

#: Where the session keeps the address whose link was opened in it.
PROVEN = "sign_up"
#: Mails that are asked for within an hour: by a network, and to an address.
MOST_OF_A_NETWORK = 20
MOST_TO_AN_ADDRESS = 3


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def allauths_door(request: HttpRequest) -> HttpResponse:
    """`/auth/signup/`, which links of allauth lead to: ours, or the page that says that there is none."""
    if settings.SIGN_UP == "open":
        return redirect("sign_up")
    return _closed(request)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """GET: asks for an address. POST (`email`): sends a link there, and says the same whether it is known or not."""
    if settings.SIGN_UP != "open":
        return _closed(request)
    if isinstance(request.user, User):
        return redirect("home")
    if request.method != "POST":
        if request.session.get(PROVEN):
            return _finish_page(request)
        return render(request, "accounts/sign_up.html", {"form": SignUpForm()})
    form = SignUpForm(request.POST)
    if form.is_valid():
        address = form.cleaned_data["email"]
        try:
            _limit(request, address)
        except TooOften as refused:
            form.add_error("email", str(refused))
            return render(request, "accounts/sign_up.html", {"form": form}, status=HTTPStatus.TOO_MANY_REQUESTS)
        _send(request, address)
        return render(request, "accounts/sign_up_sent.html", {"email": address})
    return render(request, "accounts/sign_up.html", {"form": form}, status=HTTPStatus.UNPROCESSABLE_ENTITY)


@login_not_required
@require_safe
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET: the link in the mail. Takes the address over into this session."""
    address = signing_up.address_of(token) if settings.SIGN_UP == "open" else None
    if isinstance(request.user, User):
        return redirect("home")
    if address is None or addresses.is_taken(address):
        context = {
            "title": _("This link can't be used"),
            "message": _("It works once, for three days. Begin again, or sign in if you have done so before."),
        }
        return render(request, "accounts/invitation_gone.html", context, status=HTTPStatus.GONE)
    request.session[PROVEN] = address
    return redirect("sign_up")


@login_not_required
@require_POST
@stands_on("sign_up")
def finish(request: HttpRequest) -> HttpResponse:
    """POST (`name`, `account_name`, `password`): a person, and an account on Free that is theirs."""
    address = request.session.get(PROVEN)
    if not address or isinstance(request.user, User) or settings.SIGN_UP != "open":
        return redirect("sign_up")
    require(request, address)
    form = FinishSignUpForm(address, request.POST)
    if not form.is_valid():
        return _finish_page(request, form=form)
    told = form.cleaned_data
    try:
        place = signing_up.sign_up(
            address,
            name=told["name"],
            account_name=told["account_name"],
            password=told["password"],
            at=clock.of(request),
        )
    except signing_up.AddressTaken as refused:
        del request.session[PROVEN]
        raise OutOfDate(str(refused)) from refused
    perform_login(request, place.user, email_verification="none", signup=True)
    request.session.pop(PROVEN, None)
    put_in_front(request, place)
    messages.success(request, _("Welcome to %(account)s.") % {"account": place.account})
    return redirect("home")


def _finish_page(request: HttpRequest, *, form: FinishSignUpForm | None = None) -> HttpResponse:
    address = request.session[PROVEN]
    initial = {name: value for name, value in typed(request).items() if name != "password"}
    context = {"email": address, "form": form or FinishSignUpForm(address, initial=initial)}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form and form.errors else HTTPStatus.OK
    return render(request, "accounts/sign_up_finish.html", context, status=status)


def _limit(request: HttpRequest, address: str) -> None:
    at = clock.of(request)
    for what, whom, most in (
        ("sign-up", network_of(client_address(request)), MOST_OF_A_NETWORK),
        ("sign-up to", address, MOST_TO_AN_ADDRESS),
    ):
        # The counters hold neither networks nor addresses: a keyed hash tells one from the other.
        hashed = salted_hmac("accounts.views.sign_up", str(whom), algorithm="sha256").hexdigest()[:40]
        limits.limit(what, hashed, most=most, at=at)


def _send(request: HttpRequest, address: str) -> None:
    """At once, as all sign-in mails: the link is a secret that stands in no row."""
    if addresses.is_taken(address):
        get_adapter().send_mail("account/email/sign_up_known", address, {"sign_in": _url("account_login")})
    else:
        link = _url("sign_up_open", signing_up.token_for(address))
        get_adapter().send_mail("account/email/sign_up", address, {"link": link})


def _url(name: str, *args: str) -> str:
    return f"{settings.SITE_URL}{reverse(name, args=args)}"


def _closed(request: HttpRequest) -> HttpResponse:
    return render(request, "account/signup_closed.html")
