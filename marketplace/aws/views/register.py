"""Where a buyer lands who comes from AWS Marketplace with a token, and how a purchase gets its account.

The landing is a POST from AWS's site: the browser sends none of our cookies with it, and it must not change whose
session this is. So the token is resolved, and the browser sent on to a one-time address, where its session takes the
registration over. From there on it is a page like any other.
"""

import logging
import uuid

from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.core import clock
from accounts.customers.access import SESSION_KEY
from accounts.customers.account import Account, Membership
from accounts.customers.promises import OutOfDate, page_of, require, stands_on, typed
from accounts.customers.user import User
from accounts.jobs.due_work import attempt
from marketplace.aws import checks, client, purchases, registration, token_limits
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.forms import JoinForm, LinkForm
from marketplace.aws.registration import Registration

log = logging.getLogger(__name__)

#: Where the session keeps which registration it took over.
REGISTRATION = "aws_registration"
#: AWS documents no length; its tokens are a few hundred characters.
MAX_TOKEN = 8000
#: A token, encoded for a form, and the little that comes with it.
MAX_BODY = 64 * 1024
#: Seconds after which a browser may try again what AWS did not answer.
RETRY_AFTER = "60"


@never_cache
@csrf_exempt
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """POST by AWS's site (`x-amzn-marketplace-token`): resolve it, send on. GET: what to do with the purchase."""
    if request.method == "POST":
        return _arrive(request)
    found = _in_session(request)
    if found is None:
        return _problem(
            request,
            200,
            _("Set up your purchase from AWS Marketplace"),
            _("To link a purchase to an account, come here from your AWS account: there we learn what you bought."),
        )
    return _page(request, found)


@never_cache
@login_not_required
@require_safe
def open_registration(request: HttpRequest, key: str) -> HttpResponse:
    """GET: take the registration over into this session. The key works once."""
    if opened := registration.open_by_key(key, at=clock.of(request)):
        request.session[REGISTRATION] = opened.pk
    elif (already := _in_session(request)) is None or already.key != registration.hash_of(key):
        return _problem(
            request,
            410,
            _("This address has been used"),
            _("It works once, for a few hours. Please come again from your AWS account."),
        )
    return redirect("aws_register")


@require_POST
@stands_on("aws_register")
def link(request: HttpRequest) -> HttpResponse:
    """POST (`account`, or `name` for a new one): link the purchase to an account of the signed-in person.

    The form says which registration it is about: another tab may have brought another purchase into this session.
    """
    found = _in_session(request)
    if found is None:
        return redirect("aws_register")
    require(request, found.pk)
    form = LinkForm(request.POST)
    if not form.is_valid():
        return _page(request, found, status=422)
    user = User.signed_in(request.user)
    account_id, name = form.cleaned_data["account"], form.cleaned_data["name"]
    if (linked := registration.account_of(found)) and account_id != linked.pk and (account_id or name != linked.name):
        # Linked to another account meanwhile. Sent twice, the same form is no other.
        raise OutOfDate
    return _finish(request, found, user, account_id, name)


@login_not_required
@require_POST
@stands_on("aws_register")
def join(request: HttpRequest) -> HttpResponse:
    """POST (`name`, `account_name`, `email`, `password`): a new person, with a new account for the purchase."""
    found = _in_session(request)
    if isinstance(request.user, User):
        return redirect("aws_register")
    if found is None:
        return _expired(request)
    require(request, found.pk)
    form = JoinForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form=form, status=422)
    told = form.cleaned_data
    try:
        with transaction.atomic():
            user = User.objects.create_user(told["email"], told["password"], name=told["name"])
            account, row = registration.finish(found, by=user, name=told["account_name"], at=clock.of(request))
    except IntegrityError:
        # Somebody was quicker with the same address: the form says so now.
        return _page(request, found, form=JoinForm(request.POST), status=422)
    except _REFUSALS as refusal:
        return _refused(request, refusal)
    # In at once, for the purchase is theirs; the next time once the link in the mail has proven the address.
    perform_login(request, user, email_verification="optional", signup=True)
    return _linked(request, account, row)


def _arrive(request: HttpRequest) -> HttpResponse:
    # What AWS's page posts is a few hundred bytes. Anything larger is not read.
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if not declared.isdigit() or int(declared) > MAX_BODY:
        return _problem(request, 413, _("This is not a registration"), _("It is larger than any that AWS sends."))
    token = request.POST.get("x-amzn-marketplace-token", "").strip()
    if not token or len(token) > MAX_TOKEN:
        return _invalid(request)
    on_trial = request.POST.get("x-amzn-marketplace-offer-type", "").strip() == registration.FREE_TRIAL
    try:
        token_limits.check(request)
        if token_limits.was_refused(token):
            return _invalid(request)
        with token_limits.slot():
            found = registration.resolve(token, on_trial=on_trial, at=clock.of(request))
    except token_limits.TooManyRefusedTokens:
        return _too_often(request)
    except token_limits.Busy:
        return _try_again(request)
    except client.InvalidToken:
        token_limits.note_refused(request, token)
        return _invalid(request)
    except client.ExpiredToken:
        token_limits.note_refused(request, token)
        return _expired(request)
    except registration.OtherProduct:
        return _problem(
            request,
            400,
            _("This purchase is of another product"),
            _("AWS Marketplace says that what you bought is not sold here. Nothing was changed."),
        )
    except client.AwsError as error:
        log.warning("a registration could not be resolved: %s", error)
        return _try_again(request)
    answer = HttpResponseRedirect(f"{request.path}{found.one_time_key}/")
    # After a POST: have the browser fetch the next page by GET, with the cookies that it did not send now.
    answer.status_code = 303
    return answer


def _in_session(request: HttpRequest) -> Registration | None:
    return Registration.objects.filter(pk=request.session.get(REGISTRATION) or 0).first()


def _page(
    request: HttpRequest, found: Registration, *, form: JoinForm | None = None, status: int = 200
) -> HttpResponse:
    """What this reader can do about the purchase."""
    at = clock.of(request)
    user = request.user if isinstance(request.user, User) else None
    if found.used_at and (user is None or found.used_by_id != user.pk):
        return _taken(request)
    if not found.used_at and at >= found.expires_at:
        return _expired(request)
    linked_to = registration.account_of(found)
    if linked_to and user and not Membership.objects.filter(account=linked_to, user=user).exists():
        return _taken(request)
    context = {
        "registration": found,
        "linked_to": linked_to if user else None,
        "is_linked": linked_to is not None,
        "form": form or JoinForm(initial=_typed(request)),
        "accounts": registration.accounts_to_choose(user, at) if user else [],
        "new_name": registration.new_name(user) if user else "",
        "support_email": settings.SUPPORT_EMAIL,
    }
    return render(request, "marketplace/aws_register.html", context, status=status)


def _typed(request: HttpRequest) -> dict[str, str]:
    """What a newcomer typed into a form that comes again; never a password."""
    return {name: value for name, value in typed(request).items() if name != "password"}


def _finish(
    request: HttpRequest, found: Registration, user: User, account_id: uuid.UUID | None, name: str
) -> HttpResponse:
    try:
        account, row = registration.finish(found, by=user, account_id=account_id, name=name, at=clock.of(request))
    except _REFUSALS as refusal:
        return _refused(request, refusal)
    return _linked(request, account, row)


def _linked(request: HttpRequest, account: Account, row: AwsAgreement) -> HttpResponse:
    """Done. AWS is asked here and now, outside of any transaction, because the buyer waits for its answer."""
    attempt(row, checks.check, clock.of(request))
    row.refresh_from_db()
    request.session[SESSION_KEY] = str(account.pk)
    messages.success(request, _("Your purchase is linked to %(account)s.") % {"account": account.name})
    if not row.runs:
        messages.info(request, _("AWS has not confirmed it yet. As soon as it has, everything you bought is there."))
    return redirect(page_of(account, "subscription"))


#: Why a registration can't be finished: told to the buyer.
_REFUSALS = (registration.Expired, registration.TakenByAnother, registration.AccountNotOffered, purchases.Conflict)


def _refused(request: HttpRequest, refusal: Exception) -> HttpResponse:
    if isinstance(refusal, registration.Expired):
        return _expired(request)
    if isinstance(refusal, registration.TakenByAnother):
        return _taken(request)
    return _problem(
        request,
        409,
        _("The purchase can't be linked to this account"),
        _("It has a subscription already, or it is not yours. Choose another account, or a new one."),
        back=True,
    )


def _taken(request: HttpRequest) -> HttpResponse:
    return _problem(
        request,
        409,
        _("This purchase is already linked"),
        _(
            "Somebody has linked it to their account here. Sign in as a member of that account, or ask its owner to "
            "invite you. Nothing was changed."
        ),
    )


def _invalid(request: HttpRequest) -> HttpResponse:
    return _problem(
        request,
        400,
        _("AWS Marketplace does not know this registration"),
        _("The address that brought you here was incomplete or is no longer known. Please come again from AWS."),
    )


def _expired(request: HttpRequest) -> HttpResponse:
    return _problem(
        request,
        410,
        _("This registration has expired"),
        _("A registration is valid for a few hours. Your purchase is still there: please come again from AWS."),
    )


def _try_again(request: HttpRequest) -> HttpResponse:
    answer = _problem(
        request,
        503,
        _("AWS did not answer"),
        _("We could not ask AWS Marketplace about your purchase just now. Please try again in a minute, from AWS."),
    )
    answer["Retry-After"] = RETRY_AFTER
    return answer


def _too_often(request: HttpRequest) -> HttpResponse:
    answer = _problem(
        request,
        429,
        _("Too many attempts"),
        _("AWS Marketplace did not know the last registrations from here. Please come again from AWS in ten minutes."),
    )
    answer["Retry-After"] = str(token_limits.WINDOW)
    return answer


def _problem(request: HttpRequest, status: int, title: str, message: str, *, back: bool = False) -> HttpResponse:
    context = {"title": title, "message": message, "back": back, "support_email": settings.SUPPORT_EMAIL}
    return render(request, "marketplace/aws_register_problem.html", context, status=status)
