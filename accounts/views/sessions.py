"""Where a person is signed in, and signing out everywhere else."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.core import clock
from accounts.customers.user import User
from accounts.signing_in.session import end_all, places_of


@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """GET: where this person is signed in, the newest first. POST: sign out everywhere but here."""
    user, here = User.signed_in(request.user), request.session.session_key
    if request.method == "POST":
        if ended := end_all(user, but=here):
            messages.success(
                request,
                ngettext(
                    "You are signed out in one other place.", "You are signed out in %(count)d other places.", ended
                )
                % {"count": ended},
            )
        else:
            messages.info(request, _("You are signed in nowhere else."))
        return redirect("sessions")
    return render(request, "accounts/sessions.html", {"places": places_of(user, here=here, at=clock.now())})
