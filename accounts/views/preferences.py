"""A person's own settings, and the account in front of them."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.core import clock
from accounts.customers.access import membership_in, put_in_front
from accounts.customers.promises import account_named
from accounts.customers.user import User
from accounts.forms import PreferencesForm


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """GET: name, language and time zone. POST (`name`, `language`, `time_zone`): change them."""
    # A copy of the person: a refused form must not put the page itself into a zone that doesn't exist.
    user = User.objects.get(pk=User.signed_in(request.user).pk)
    if request.method == "POST":
        form = PreferencesForm(request.POST, instance=user, at=clock.of(request))
        if form.is_valid():
            form.save()
            with translation.override(user.language or translation.get_language()):
                messages.success(request, _("Saved."))
            return redirect("preferences")
    else:
        form = PreferencesForm(instance=user, at=clock.of(request))
    return render(request, "accounts/preferences.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
def switch_account(request: HttpRequest) -> HttpResponse:
    """POST (`account`): put another of the person's accounts in front. A stranger's account is 404."""
    account_id = account_named(request.POST)
    if account_id is None:
        return redirect("home")
    # A deactivated account is put in front of its owner, too: to export its data.
    put_in_front(request, membership_in(request, account_id, leaving_owner=True))
    return redirect("home")
