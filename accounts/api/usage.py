"""The door of usage counts: how much an account has of what it can lose, for the page that says so before it cancels.

A page never calls out, so the product's own system sends its numbers ahead of time (`accounts.customers.usage`).
"""

import uuid
from datetime import timedelta
from typing import Annotated

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from accounts.api import problems
from accounts.api.answers import answer
from accounts.api.caller import Token, caller_of
from accounts.api.fields import Body, InstantIn, InstantOut, Told
from accounts.api.lookup import account_of, locked_account
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import Scope
from accounts.customers import losses, usage
from accounts.customers.account import Account

router = Router(tags=["usage"])
#: Clocks differ. What is said of tomorrow would keep out whatever is counted until then.
AHEAD = timedelta(minutes=5)
MOST_COUNTS = 100
#: JSON's numbers are whole up to here wherever they are read (RFC 8259, 6).
MOST = 2**53 - 1

Code = Annotated[str, Field(max_length=usage.MAX_CODE)]
Count = Annotated[int, Field(ge=0, le=MOST, strict=True)]


class UsageIn(Body):
    """Codes of losses that the product has registered, each with its number; what is left out stays as it is."""

    as_of: InstantIn
    counts: Annotated[dict[Code, Count], Field(max_length=MOST_COUNTS)]


class CountTold(Told):
    code: str
    count: int
    as_of: InstantOut


class UsageTold(Told):
    counts: list[CountTold]


@router.put("accounts/{uuid:account_id}/usage/", auth=Token(Scope.USAGE_WRITE), response=UsageTold)
def put_usage(request: HttpRequest, account_id: uuid.UUID, body: UsageIn) -> HttpResponse:
    """Send counts. What was counted later stays, whichever order they come in; the answer says what counts now."""
    at = caller_of(request).at
    if body.as_of > at + AHEAD:  # type: ignore[operator]  # an instant, once it is checked
        _refuse("/as_of", "ahead", "This lies in the future.")
    if not set(body.counts) <= losses.counted_codes():
        _refuse("/counts", "unknown_code", "No loss of such a code is registered whose number is sent.")
    with transaction.atomic():
        account = locked_account(account_id)
        usage.note(account, body.counts, as_of=body.as_of)  # type: ignore[arg-type]  # as above
        told = _told(account)
    return answer(request, told)


@router.get("accounts/{uuid:account_id}/usage/", auth=Token(Scope.ACCOUNTS_READ), response=UsageTold)
def get_usage(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """The counts that were sent last."""
    return answer(request, _told(account_of(account_id)))


def _refuse(pointer: str, code: str, detail: str) -> None:
    raise Problem(problems.INVALID, errors=[FieldError(pointer, code, detail)])


def _told(account: Account) -> UsageTold:
    rows = usage.UsageCount.objects.filter(account=account).order_by("code")
    return UsageTold(counts=[CountTold(code=row.code, count=row.count, as_of=row.as_of) for row in rows])
