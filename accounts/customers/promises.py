"""What a form says: which account it is about, and what its page promised (design, idea 11).

The account in front of a person decides what a page shows, never what is done: another tab may have put another one
there. So every form of owners, members and buyers carries its account, and those facts of its page that matter (which
subscription, until when), in hidden fields: `{% about account fact … %}`. Nothing is done unless both are still so.
Then the page comes again as it is now, with a word on why (`accounts.middleware.RefusalMiddleware`).
"""

import uuid
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import resolve, reverse
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers.account import Account

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

#: The hidden fields. `account` stands in links, too: those in mails name the account that they are about.
ACCOUNT = "account"
SHOWN = "shown"


class OutOfDate(Refused):
    """Nothing was done: what the form says is not so, or not so any more."""

    text = _(
        "Nothing was done: what the page said is not so any more. This is how things stand now. Please look at it, "
        "and choose again."
    )
    #: The page on which the form stands; empty if that is the address which it was sent to.
    page = ""


class OfNoAccount(OutOfDate):
    """The form names no account, or none of this person's."""

    text = _(
        "Nothing was done: the form did not say which of your accounts it is about. This is the page as it is now. "
        "Please choose again."
    )


def promise(*facts: object) -> str:
    """What a page promised, as its form carries it: instants in UTC, numbers, references."""
    return " ".join(fact.astimezone(UTC).isoformat() if isinstance(fact, datetime) else str(fact) for fact in facts)


def require(request: HttpRequest, *facts: object, otherwise: type[OutOfDate] = OutOfDate) -> None:
    """Raise `OutOfDate`, or what says it better, unless the form was made from these very facts."""
    if request.POST.get(SHOWN, "") != promise(*facts):
        raise otherwise


def account_named(fields: QueryDict) -> uuid.UUID | None:
    """The account that a form or an address names; None if it names none, or nonsense."""
    try:
        return uuid.UUID(fields.get(ACCOUNT, ""))
    except ValueError:
        return None


def stands_on(page: str, *same: str) -> Callable[[View[P]], View[P]]:
    """Say on which page (its name, and which arguments are the `same`) the form of a view stands that shows none."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except OutOfDate as stale:
                stale.page = reverse(page, kwargs={name: kwargs[name] for name in same})
                raise

        return inner

    return decorate


def page_again(request: HttpRequest, stale: OutOfDate, account_id: uuid.UUID | None) -> HttpResponse:
    """The page of the form as it is now, with a word on why nothing was done (409); of this account, if it is one.

    A page that is no more, such as an offer that was accepted in another tab, leads to where things stand: there the
    word is read. A redirect keeps its status, for a browser shows nothing of a 409 without a body.
    """
    path = stale.page or request.path
    page = copy(request)
    page.method, page.path, page.path_info, page.resolver_match = "GET", path, path, resolve(path)
    page.GET = QueryDict(f"{ACCOUNT}={account_id}" if account_id else "")
    messages.warning(request, str(stale))
    response: HttpResponse = page.resolver_match.func(page, *page.resolver_match.args, **page.resolver_match.kwargs)
    if not (300 <= response.status_code < 400):
        response.status_code = 409
    return response


def typed(request: HttpRequest) -> dict[str, str]:
    """What somebody typed into a form that comes again with its page: it must not be lost. Empty for a fresh page."""
    return {name: value for name, value in request.POST.items() if isinstance(value, str)}


def page_of(account: Account, name: str, *args: object) -> str:
    """The address of a page, which shows this account whichever is in front of the reader."""
    return f"{reverse(name, args=args)}?{ACCOUNT}={account.pk}"
