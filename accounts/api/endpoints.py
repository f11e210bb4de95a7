"""Doors of endpoints: who hears what happens, what they were told, and what is sent to them again."""

import uuid
from datetime import datetime
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from accounts.api import problems
from accounts.api.answers import MAY_CARRY_KEY, answer, nothing
from accounts.api.caller import Token, caller_of
from accounts.api.cursors import Cursor, Limit, page
from accounts.api.fields import Body, InstantIn, InstantOut, Told
from accounts.api.idempotency import once
from accounts.api.problems import Problem
from accounts.api.tokens import Scope
from accounts.events import managing, replaying
from accounts.events.dispatch import Dispatch
from accounts.events.endpoint import MAX_ADDRESS, MAX_NAME, Endpoint

router = Router(tags=["endpoints"])
READ, WRITE = Token(Scope.ENDPOINTS_READ), Token(Scope.ENDPOINTS_WRITE)
MOST_TYPES = 100

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
HookAddress = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ADDRESS,
        description="https://…; http:// and private networks only where they are opened (OUTGOING_ALLOWED_NETWORKS).",
    ),
]
Types = Annotated[
    list[Annotated[str, Field(max_length=60)]],
    Field(max_length=MOST_TYPES, description="What it hears; none: everything, and types that come later."),
]
Secret = Annotated[
    str,
    Field(max_length=100, description="`whsec_` and 24 to 64 random bytes in base64; left out: one is made."),
]


class EndpointIn(Body):
    name: Name
    address: HookAddress
    types: Types = []
    secret: Secret = ""


class EndpointChange(Body):
    """What is left out stays as it is."""

    name: Name | None = None
    address: HookAddress | None = None
    types: Types | None = None
    on: Annotated[bool, Field(strict=True, description="`false`: nothing is sent; it is kept for 30 days.")] | None = (
        None
    )


class SecretIn(Body):
    secret: Secret = ""


class ReplayIn(Body):
    """What was published from `since` until before `until`, and the endpoint hears."""

    since: InstantIn
    until: InstantIn
    undelivered: Annotated[bool, Field(strict=True, description="Only what it has not got.")] = True


class EndpointTold(Told):
    id: uuid.UUID
    name: str
    address: str
    types: list[str]
    version: str
    on: bool
    off_because: str
    off_since: InstantOut | None
    failing_since: InstantOut | None
    last_success_at: InstantOut | None
    both_secrets_until: InstantOut | None
    made_at: InstantOut

    @classmethod
    def of(cls, endpoint: Endpoint, at: datetime) -> "EndpointTold":
        return cls(
            id=endpoint.pk,
            name=endpoint.name,
            address=endpoint.address,
            types=endpoint.types,
            version=endpoint.version,
            on=endpoint.off_at is None,
            off_because=endpoint.off_because,
            off_since=endpoint.off_at,
            failing_since=endpoint.failing_since,
            last_success_at=endpoint.delivered_at,
            both_secrets_until=endpoint.previous_until if endpoint.is_both_signing(at) else None,
            made_at=endpoint.made_at,
        )


class EndpointPage(Told):
    items: list[EndpointTold]
    next: str | None


class SecretTold(Told):
    """`secret` is told this once; a repeated call tells none."""

    endpoint: EndpointTold
    secret: str | None


class DispatchTold(Told):
    id: int
    message: uuid.UUID | None
    type: str
    account: uuid.UUID | None
    sequence: int | None
    state: Annotated[str, Field(description="`waiting`, `delivered` or `given_up`.")]
    replay: bool
    made_at: InstantOut
    attempts_failed: int
    next_attempt_at: InstantOut | None
    last_attempt_at: InstantOut | None
    status: int | None
    seconds: float | None
    answer: Annotated[str, Field(description="The first 500 characters of what came back.")]
    error: str

    @classmethod
    def of(cls, dispatch: Dispatch) -> "DispatchTold":
        message = dispatch.message
        waits = dispatch.delivered_at is None and dispatch.given_up_at is None
        return cls(
            id=dispatch.pk,
            message=message.webhook_id if message else None,
            type=dispatch.type,
            account=dispatch.account_id,
            sequence=message.sequence if message else None,
            state="waiting" if waits else "delivered" if dispatch.delivered_at else "given_up",
            replay=dispatch.is_replay,
            made_at=dispatch.made_at,
            attempts_failed=dispatch.attempts,
            next_attempt_at=dispatch.next_attempt_at if waits else None,
            last_attempt_at=dispatch.tried_at,
            status=dispatch.status,
            seconds=dispatch.seconds,
            answer=dispatch.answer,
            error=dispatch.last_error,
        )


class DispatchPage(Told):
    items: list[DispatchTold]
    next: str | None


class ReplayTold(Told):
    messages: int


@router.get("endpoints/", auth=READ, response=EndpointPage)
def list_endpoints(request: HttpRequest, cursor: Cursor = "", limit: Limit = 50) -> HttpResponse:
    """Endpoints, oldest first."""
    at = caller_of(request).at
    rows, following = page(Endpoint.objects.standing(), by="made_at", cursor=cursor, limit=limit)
    return answer(request, EndpointPage(items=[EndpointTold.of(row, at) for row in rows], next=following))


@router.post("endpoints/", auth=WRITE, response={201: SecretTold}, openapi_extra=MAY_CARRY_KEY)
def make_endpoint(request: HttpRequest, body: EndpointIn) -> HttpResponse:
    """Make an endpoint: it hears what happens from now on. Its secret is in this answer, and in no other."""
    caller = caller_of(request)
    told: list[str] = []

    def work() -> tuple[int, str]:
        made, secret = managing.make(
            body.name, body.address, body.types, secret=body.secret, by=caller.actor, at=caller.at
        )
        told.append(secret)
        return 201, str(made.pk)

    status, made, replayed = once(request, work, token=caller.row, at=caller.at)
    endpoint = EndpointTold.of(_endpoint(uuid.UUID(made)), caller.at)
    said = SecretTold(endpoint=endpoint, secret=told[0] if told else None)
    return answer(request, said, status=status, replayed=replayed)


@router.get("endpoints/{uuid:endpoint_id}/", auth=READ, response=EndpointTold)
def get_endpoint(request: HttpRequest, endpoint_id: uuid.UUID) -> HttpResponse:
    """One endpoint, and how it is."""
    return answer(request, EndpointTold.of(_endpoint(endpoint_id), caller_of(request).at))


@router.patch("endpoints/{uuid:endpoint_id}/", auth=WRITE, response=EndpointTold)
def change_endpoint(request: HttpRequest, endpoint_id: uuid.UUID, body: EndpointChange) -> HttpResponse:
    """Change name, address or types; switch it off, or on. What waits goes to the new address."""
    caller = caller_of(request)
    endpoint = _endpoint(endpoint_id)
    managing.change(endpoint, name=body.name, address=body.address, types=body.types, by=caller.actor, at=caller.at)
    if body.on is not None:
        switch = managing.switch_on if body.on else managing.switch_off
        switch(endpoint, by=caller.actor, at=caller.at)
    return answer(request, EndpointTold.of(_endpoint(endpoint_id), caller.at))


@router.delete("endpoints/{uuid:endpoint_id}/", auth=WRITE, response={204: None})
def remove_endpoint(request: HttpRequest, endpoint_id: uuid.UUID) -> HttpResponse:
    """Nothing is sent there ever again. One that was removed is removed: that is done, too (204)."""
    caller = caller_of(request)
    endpoint = Endpoint.objects.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise Problem(problems.NOT_FOUND)
    managing.remove(endpoint, by=caller.actor, at=caller.at)
    return nothing()


@router.post("endpoints/{uuid:endpoint_id}/secret/", auth=WRITE, response=SecretTold, openapi_extra=MAY_CARRY_KEY)
def change_secret(request: HttpRequest, endpoint_id: uuid.UUID, body: SecretIn) -> HttpResponse:
    """Give it a new secret, told in this answer alone. For a day the one before signs, too."""
    caller = caller_of(request)
    told: list[str] = []

    def work() -> tuple[int, str]:
        told.append(managing.rotate(_endpoint(endpoint_id), secret=body.secret, by=caller.actor, at=caller.at))
        return 200, str(endpoint_id)

    status, _id, replayed = once(request, work, token=caller.row, at=caller.at)
    endpoint = EndpointTold.of(_endpoint(endpoint_id), caller.at)
    said = SecretTold(endpoint=endpoint, secret=told[0] if told else None)
    return answer(request, said, status=status, replayed=replayed)


@router.post(
    "endpoints/{uuid:endpoint_id}/test/", auth=WRITE, response={202: DispatchTold}, openapi_extra=MAY_CARRY_KEY
)
def test_endpoint(request: HttpRequest, endpoint_id: uuid.UUID) -> HttpResponse:
    """Have `endpoint.test` sent once, within seconds; also to one that is off. Its dispatch says how it went."""
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        return 202, str(managing.test(_endpoint(endpoint_id), by=caller.actor, at=caller.at).pk)

    status, made, replayed = once(request, work, token=caller.row, at=caller.at)
    dispatch = _endpoint(endpoint_id).dispatches.filter(pk=made).first()
    if dispatch is None:
        raise Problem(problems.NOT_FOUND)
    return answer(request, DispatchTold.of(dispatch), status=status, replayed=replayed)


@router.get("endpoints/{uuid:endpoint_id}/dispatches/", auth=READ, response=DispatchPage)
def list_dispatches(
    request: HttpRequest,
    endpoint_id: uuid.UUID,
    cursor: Cursor = "",
    limit: Limit = 50,
    undelivered: bool = False,
) -> HttpResponse:
    """What it was told, oldest first; with `undelivered` only what it has not got."""
    rows = _endpoint(endpoint_id).dispatches.select_related("message").defer("message__body")
    if undelivered:
        rows = rows.undelivered()
    found, following = page(rows, by="made_at", cursor=cursor, limit=limit)
    return answer(request, DispatchPage(items=[DispatchTold.of(row) for row in found], next=following))


@router.post(
    "endpoints/{uuid:endpoint_id}/dispatches/{int:dispatch_id}/replay/",
    auth=WRITE,
    response=ReplayTold,
    openapi_extra=MAY_CARRY_KEY,
)
def replay_message(request: HttpRequest, endpoint_id: uuid.UUID, dispatch_id: int) -> HttpResponse:
    """Send this message again, under the same id. None is sent twice while it waits anyway."""
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        dispatch = _endpoint(endpoint_id).dispatches.filter(pk=dispatch_id).first() if dispatch_id < 2**63 else None
        if dispatch is None:
            raise Problem(problems.NOT_FOUND)
        return 200, str(int(replaying.replay(dispatch, by=caller.actor, at=caller.at)))

    status, made, replayed = once(request, work, token=caller.row, at=caller.at)
    return answer(request, ReplayTold(messages=int(made)), status=status, replayed=replayed)


@router.post("endpoints/{uuid:endpoint_id}/replay/", auth=WRITE, response=ReplayTold, openapi_extra=MAY_CARRY_KEY)
def replay_messages(request: HttpRequest, endpoint_id: uuid.UUID, body: ReplayIn) -> HttpResponse:
    """Send a stretch of time again, in order, under the same ids; also what is older than the endpoint."""
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        count = replaying.replay_range(
            _endpoint(endpoint_id),
            since=body.since,  # type: ignore[arg-type]  # an instant, once it is checked
            until=body.until,  # type: ignore[arg-type]  # as above
            undelivered=body.undelivered,
            by=caller.actor,
            at=caller.at,
        )
        return 200, str(count)

    status, made, replayed = once(request, work, token=caller.row, at=caller.at)
    return answer(request, ReplayTold(messages=int(made)), status=status, replayed=replayed)


def _endpoint(endpoint_id: uuid.UUID) -> Endpoint:
    """The endpoint, if nobody has removed it. Raises 404."""
    found = Endpoint.objects.standing().filter(pk=endpoint_id).first()
    if found is None:
        raise Problem(problems.NOT_FOUND)
    return found
