"""Answers of the API, and the headers that calls carry: what all doors share."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.api import etags
from accounts.api.fields import Told
from accounts.api.idempotency import HEADER, MAX_KEY, REPLAYED

NO_STORE = "private, no-store"


def answer(
    request: HttpRequest, told: Told, *, status: int = 200, replayed: bool = False, cache: str = NO_STORE
) -> HttpResponse:
    """What is told, with its ETag; 304 for a caller who has it already."""
    text = told.model_dump_json()
    etag = etags.etag_of(text)
    headers = {"ETag": etag, "Cache-Control": cache, **({REPLAYED: "true"} if replayed else {})}
    if request.method == "GET" and etags.is_known(request, etag):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(text, status=status, content_type="application/json", headers=headers)


def etag_of(told: Told) -> str:
    """The ETag under which `answer` tells it."""
    return etags.etag_of(told.model_dump_json())


def nothing() -> HttpResponse:
    """Done, and there is nothing to tell (204)."""
    return HttpResponse(status=204, headers={"Cache-Control": NO_STORE})


def _header(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {
        "in": "header",
        "name": name,
        "required": required,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_KEY = "Stands for this call and its repetitions, for seven days."
_KEY_SCHEMA: dict[str, Any] = {"minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"}
#: For the document (`openapi_extra`): which headers a call may, or has to, carry.
MAY_CARRY_KEY: dict[str, Any] = {"parameters": [_header(HEADER, _KEY, **_KEY_SCHEMA)]}
CARRIES_KEY: dict[str, Any] = {"parameters": [_header(HEADER, _KEY, required=True, **_KEY_SCHEMA)]}
CARRIES_IF_MATCH: dict[str, Any] = {
    "parameters": [_header("If-Match", "The ETag of what was read.", required=True, minLength=1)]
}
MAY_CARRY_IF_NONE_MATCH: dict[str, Any] = {
    "parameters": [_header("If-None-Match", "The ETag of what is known already: 304 if it is so still.")]
}
