"""Where a buyer lands after a purchase at GitHub, and what a customer can do about a downgrade."""

import logging

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.core import clock, limits
from accounts.core.encryption import Undecipherable
from accounts.customers.access import SESSION_KEY, for_owner
from accounts.customers.account import Membership
from accounts.customers.history import Actor
from accounts.customers.promises import page_of, require, stands_on
from accounts.customers.user import User
from accounts.erasure import scheduling
from marketplace.github.client import GitHubError
from marketplace.github.linking import link_purchases
from marketplace.github.payloads import UnreadablePayload
from marketplace.github.tokens import UserToken
from marketplace.offboarding import offboarding

log = logging.getLogger(__name__)

#: GitHub is asked for one person so often within a minute, whoever presses the button how often: by a thread of ours.
ASKED_A_MINUTE = 6


@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """GET: what to do next. POST: ask GitHub what the signed-in person has bought, and link it.

    The call to GitHub is made here and now, outside of any transaction, because the buyer waits for its answer.
    """
    user = User.signed_in(request.user)
    token = UserToken.objects.alive().filter(user=user).order_by("-obtained_at").first()
    if request.method != "POST" or token is None:
        context = {"token": token, "can_sign_in": bool(settings.GITHUB_CLIENT_ID)}
        return render(request, "marketplace/github_setup.html", context)
    # Whose purchases: the form has no account yet, it says as whom the person is authorised.
    require(request, token.login)
    if limits.is_often("github-setup", user.pk, most=ASKED_A_MINUTE, seconds=60):
        messages.info(request, _("GitHub shows no purchase of yours yet. It can take a minute after you have bought."))
        return redirect("github_setup")
    try:
        accounts = link_purchases(token, at=clock.of(request))
    except (GitHubError, UnreadablePayload, Undecipherable) as error:
        log.warning("purchases of token %s: %s", token.pk, type(error).__name__)
        messages.error(request, _("GitHub did not answer. Please try again in a minute, or authorise us again."))
        return redirect("github_setup")
    except Exception:
        # Told to staff where it was found (`link_purchases`); the buyer is told what to do.
        log.exception("purchases of token %s could not be linked", token.pk)
        messages.error(
            request, _("Your purchase could not be linked. We have been told; please write to support if it lasts.")
        )
        return redirect("github_setup")
    if not accounts:
        messages.info(request, _("GitHub shows no purchase of yours yet. It can take a minute after you have bought."))
        return redirect("github_setup")
    request.session[SESSION_KEY] = str(accounts[0].pk)
    messages.success(
        request, _("Linked: %(accounts)s.") % {"accounts": ", ".join(account.name for account in accounts)}
    )
    return redirect("home")


@require_POST
@stands_on("subscription")
@for_owner
def stay(request: HttpRequest, membership: Membership) -> HttpResponse:
    """POST: the customer chooses to stay on Free after a downgrade; the deletion of the data is called off."""
    back = page_of(membership.account, "subscription")
    if settings.GITHUB_CANCELLATION != "downgrade":
        messages.info(request, _("There is nothing to keep: this account is not about to be deleted."))
        return redirect(back)
    if leaving := offboarding.Offboarding.objects.open().of(membership.account_id).first():
        require(request, leaving.pk)
    by = Actor.owner(User.signed_in(request.user))
    try:
        with transaction.atomic():
            stays = offboarding.call_off(membership.account, because="chose_free", at=clock.of(request), by=by)
    except scheduling.TooLate:
        messages.error(request, _("It is too late: the deletion has begun."))
        return redirect(back)
    if stays:
        messages.success(request, _("You stay on Free. Nothing is deleted."))
    return redirect(back)
