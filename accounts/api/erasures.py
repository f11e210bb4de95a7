"""Doors of erasing elsewhere: what a store reports of a request, and what has been ordered since an instant.

A report opens the door with two keys: a token with the scope `erasures:report`, which any of the vendor's systems may
have, and the signature of the very store that was asked, over these bytes and this request. So no store can report for
another one, and what was sent once can't be sent again for another request.
"""

import uuid
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from accounts.api import problems
from accounts.api.answers import answer
from accounts.api.caller import Token, caller_of
from accounts.api.cursors import Cursor, Limit, page
from accounts.api.fields import InstantIn, InstantOut, Told
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import Scope
from accounts.core import clock
from accounts.elsewhere import answers, protocol
from accounts.elsewhere.protocol import Meaning, Report
from accounts.elsewhere.remote_erasure import RemoteErasure
from accounts.erasure.purge import Purge

router = Router(tags=["erasures"])
READ, REPORT = Token(Scope.ERASURES_READ), Token(Scope.ERASURES_REPORT)


class ErasureTold(Told):
    """One account that was to be erased, and by which requests stores elsewhere were asked."""

    account: uuid.UUID
    #: Null unless the record of an erasing keeps it (`ERASURE_LOG_EXTERNAL_IDS`).
    external_id: str | None
    cause: str
    ordered_at: InstantOut
    erased_at: InstantOut | None
    requests: "list[RequestTold]"


class RequestTold(Told):
    store: str
    request: uuid.UUID
    done_at: InstantOut | None


class ErasurePage(Told):
    items: list[ErasureTold]
    next: str | None


class ReportTold(Told):
    """What stands about the request now."""

    request: uuid.UUID
    store: str
    status: str
    done_at: InstantOut | None


def _header(name: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": True, "schema": {"type": "string", "minLength": 1}}


#: Standard Webhooks 1.0, signed with the store's secret; `webhook-id` is the request.
CARRIES_SIGNATURE: dict[str, Any] = {
    "parameters": [_header(name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
}


@router.get("erasures/", auth=READ, response=ErasurePage)
def list_erasures(
    request: HttpRequest,
    since: Annotated[InstantIn | None, Query(description="Only what was ordered at it or later.")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> HttpResponse:
    """What has been ordered, oldest first: for a system that was restored, and must erase again what it had erased."""
    begun = Purge.objects.filter(started_at__isnull=False)
    if since is not None:
        begun = begun.filter(started_at__gte=since)
    found, following = page(begun, by="started_at", cursor=cursor, limit=limit)
    asked: dict[int, list[RemoteErasure]] = {}
    for row in RemoteErasure.objects.filter(purge__in=[purge.pk for purge in found]).order_by("store"):
        asked.setdefault(row.purge_id or 0, []).append(row)
    items = [_told(purge, asked.get(purge.pk, [])) for purge in found]
    return answer(request, ErasurePage(items=items, next=following))


def _told(purge: Purge, rows: list[RemoteErasure]) -> ErasureTold:
    assert purge.started_at is not None
    return ErasureTold(
        account=purge.account_id,
        external_id=purge.external_id or None,
        cause=purge.cause,
        ordered_at=purge.started_at,
        erased_at=purge.verified_at,
        requests=[RequestTold(store=row.store, request=row.request, done_at=row.done_at) for row in rows],
    )


@router.post("erasures/{uuid:erasure_request}/", auth=REPORT, response=ReportTold, openapi_extra=CARRIES_SIGNATURE)
def report_erasure(request: HttpRequest, erasure_request: uuid.UUID, report: Report) -> HttpResponse:
    """Tell what became of a request: the same body with which it could have been answered. Again changes nothing."""
    caller = caller_of(request)
    row = RemoteErasure.objects.filter(request=erasure_request).first()
    store = row.remote_store if row else None
    if row is None or store is None:
        raise Problem(problems.NOT_FOUND)
    if request.headers.get("webhook-id", "") != str(erasure_request) or not protocol.is_genuine(
        store,
        request=str(erasure_request),
        timestamp=request.headers.get("webhook-timestamp", ""),
        signature=request.headers.get("webhook-signature", ""),
        body=request.body,
        # By the clock on the wall: the signature is of now, whatever instant a demonstration acts as of.
        now=clock.now(),
    ):
        raise Problem(problems.NOT_SIGNED)
    said = protocol.understood(report)
    if said.meaning is not Meaning.REPORT:
        raise Problem(
            problems.INVALID, errors=[FieldError("/status", "not_believed", f"This is not believed: {said.why}.")]
        )
    answers.note(row, said, caller.at, by=caller.actor)
    row.refresh_from_db()
    told = ReportTold(request=row.request, store=row.store, status=row.said, done_at=row.done_at)
    return answer(request, told)
