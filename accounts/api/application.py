"""The API under `/api/v1/`: all its doors together, how it refuses, and the document that describes it.

Its doors are functions in this room and in those of the apps above, which declare theirs (`accounts.extension`). Every
change that one makes is the transition that a page or the desk makes, with its history and its mails. There are no
sessions here, no forms and no pages: `config.doors` takes a call past all that (`answer`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import Resolver404, resolve
from ninja import NinjaAPI, Router
from ninja.errors import HttpError, ValidationError
from ninja.operation import Operation
from ninja.parser import Parser

from accounts.api import problems
from accounts.api.caller import Token
from accounts.api.problems import Code, FieldError, Problem
from accounts.core import strict_json
from accounts.core.refusal import Refused
from accounts.core.registry import Registry
from accounts.core.strict_json import BadJSON
from accounts.core.write_guard import BeingErased
from accounts.erasure.scheduling import TooLate

TITLE = "Offboard"
VERSION = "1"
#: Named in one answer: whoever sends a thousand mistakes learns of the first ones.
MOST_ERRORS = 50


@dataclass(frozen=True)
class Doors:
    """The doors of an app, and what its refusals are called here."""

    name: str
    router: Router
    #: The code for each refusal that says more than "the state of things does not allow this".
    refusals: Mapping[type[Exception], Code] = field(default_factory=dict)
    #: The same for what the database refuses, by the name of the constraint: two calls at once.
    constraints: Mapping[str, Code] = field(default_factory=dict)


REGISTRY: Registry[Doors] = Registry()


class StrictParser(Parser):
    """JSON as `accounts.core.strict_json` takes it: in UTF-8, not too deep, nothing that PostgreSQL can't hold."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            return strict_json.parse(request.body)
        except BadJSON as error:
            raise Problem(problems.BAD_JSON) from error


class Api(NinjaAPI):
    """django-ninja's, which names operations for their functions and describes problems with every one of them."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


def build() -> NinjaAPI:
    """The API with the doors of all apps."""
    api = Api(
        title=TITLE,
        version=VERSION,
        description="Accounts, members, subscriptions, usage and entitlements. How to call it: docs/api.md.",
        # Its page has a script of its own, and our policy allows none; the document has a door below.
        docs_url=None,
        openapi_url=None,
        urls_namespace="api",
        parser=StrictParser(),
    )
    # `Exception` too: what is unforeseen is Django's to answer, also where it would show its traceback.
    for kind, handler in _HANDLERS.items():
        api.add_exception_handler(kind, handler)
    for doors in REGISTRY.all():
        api.add_router("", doors.router)
    return api


def answer(request: HttpRequest) -> HttpResponse:
    """Answer a call: the one way in (`config.doors`). HEAD is GET, without the body in the end."""
    if request.method == "HEAD":
        request.method = "GET"
    try:
        match = resolve(request.path_info)
    except Resolver404:
        return problems.response(problems.NOT_FOUND)
    request.resolver_match = match
    query = _queries().get((match.url_name, request.method), frozenset())
    request.api_query = query  # type: ignore[attr-defined]  # for `accounts.api.caller`, which knows nothing of routes
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    if isinstance(response, HttpResponseNotAllowed):
        return problems.response(problems.NOT_ALLOWED, headers={"Allow": response["Allow"]})
    return response


@cache
def the_api() -> NinjaAPI:
    """The one that is served; the apps have declared their doors before the first call."""
    return build()


@cache
def _queries() -> dict[tuple[str | None, str | None], frozenset[str]]:
    """What may stand in the address of a call behind its path, by the name of its route and its method."""
    known: dict[tuple[str | None, str | None], frozenset[str]] = {}
    for bound in the_api()._get_bound_routers():
        for view in bound.path_operations.values():
            route = the_api().get_operation_url_name(view.operations[0], bound.template)
            for operation in view.operations:
                names = {
                    name
                    for model in operation.models
                    if model.__ninja_param_source__ == "query"
                    for name in model.model_fields
                }
                known.update({(route, method): frozenset(names) for method in operation.methods})
    return known


def document(api: NinjaAPI | None = None) -> dict[str, Any]:
    """The OpenAPI document: the one that is committed (docs/openapi.json), if nobody has forgotten to write it."""
    api = api or build()
    found: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix=problems.ROOT)))
    scopes = _scopes(api)
    found["servers"] = [{"url": "/"}]
    schemas = found["components"]["schemas"]
    schemas["Problem"] = PROBLEM_SCHEMA
    found["components"]["responses"] = {
        "Problem": {
            "description": "What went wrong, and what to do (RFC 9457).",
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            if scope := scopes.get(operation["operationId"]):
                operation["security"] = [{"Token": [scope]}]
            if any(parameter["name"] == "If-None-Match" for parameter in operation["parameters"]):
                operation["responses"]["304"] = {"description": "It is known already, and so still."}
            for status in _statuses(path, method, operation):
                operation["responses"].setdefault(str(status), {"$ref": "#/components/responses/Problem"})
    return found


def _scopes(api: NinjaAPI) -> dict[str, str]:
    """The scope that each operation needs, by its id."""
    return {
        api.get_openapi_operation_id(operation): guard.scope
        for bound in api._get_bound_routers()
        for view in bound.path_operations.values()
        for operation in view.operations
        for guard in operation.auth_callbacks
        if isinstance(guard, Token)
    }


def _statuses(path: str, method: str, operation: Mapping[str, Any]) -> list[int]:
    """With which problems this operation may answer."""
    headers = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
    statuses = {400, 404, 500, 503}
    if "security" in operation:
        statuses |= {401, 403, 413, 415, 429}
    if "{" in path and "security" in operation:
        statuses |= {410}
    if "requestBody" in operation or operation["parameters"]:
        statuses |= {422}
    if method != "get":
        statuses |= {409}
    if "If-Match" in headers:
        statuses |= {412, 428}
    return sorted(statuses)


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "Nothing was changed. `code` names the kind for ever; `type` leads to a page about it.",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "additionalProperties": False,
                "properties": {
                    "pointer": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


@cache
def served() -> str:
    """The document as it is served: made once a process."""
    return json.dumps(document(), indent=2) + "\n"


def openapi_json(request: HttpRequest) -> HttpResponse:
    """GET /api/v1/openapi.json. No token: it says nothing about anybody."""
    if request.method != "GET":
        return problems.response(problems.NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
    return HttpResponse(served(), content_type="application/json", headers={"Cache-Control": "public, max-age=300"})


def problem(request: HttpRequest, name: str) -> HttpResponse:
    """GET /api/v1/problems/<code>/: what a code means. Where `type` of a problem leads."""
    if request.method != "GET":
        return problems.response(problems.NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
    code = problems.CODES.get(name)
    if code is None:
        return problems.response(problems.NOT_FOUND)
    said = {"code": code.name, "status": int(code.status), "title": code.title, "advice": code.advice}
    return JsonResponse(said, headers={"Cache-Control": "public, max-age=300"})


# How each kind of refusal is answered.


def _on_problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return problem.response()


def _on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """django-ninja's own, such as around what its parser raised."""
    if isinstance(error.__cause__, Problem):
        return error.__cause__.response()
    return problems.response(problems.BAD_REQUEST)


def _on_invalid(request: HttpRequest, invalid: ValidationError) -> HttpResponse:
    errors = [_field_error(error) for error in invalid.errors[:MOST_ERRORS]]
    return problems.response(problems.INVALID, errors=errors)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    source, *where = error["loc"]
    if error["type"] == "extra_forbidden":
        # Its name is the caller's: the object is told in which it stands.
        return FieldError(_pointer(source, where[:-1]), "unknown_field", "There is a field here that we do not know.")
    return FieldError(_pointer(source, where), str(error["type"]), str(error["msg"]))


def _pointer(source: str, where: "list[Any]") -> str:
    """A JSON pointer (RFC 6901) into the body; for anything else its place and its name."""
    if source != "body":
        return f"{source}:{'.'.join(str(part) for part in where)}"
    # The first part is the name of the parameter, which no caller knows.
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in where[1:])


def _on_missing(request: HttpRequest, missing: Http404) -> HttpResponse:
    return problems.response(problems.NOT_FOUND)


def _on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problems.response(problems.TOO_LARGE)


def _on_refused(request: HttpRequest, refused: Exception) -> HttpResponse:
    known = {kind: code for doors in REGISTRY.all() for kind, code in doors.refusals.items()}
    code = next((known[kind] for kind in type(refused).__mro__ if kind in known), problems.CONFLICT)
    return problems.response(code)


def _on_erasing(request: HttpRequest, erasing: Exception) -> HttpResponse:
    return problems.response(problems.ERASED)


def _on_constraint(request: HttpRequest, error: IntegrityError) -> HttpResponse:
    """Two calls at once: the database let one of them through. What no door has foreseen is a fault of ours."""
    known = {name: code for doors in REGISTRY.all() for name, code in doors.constraints.items()}
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    if name not in known:
        raise error
    return problems.response(known[name])


def _on_unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    raise error


_HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    Problem: _on_problem,
    HttpError: _on_http_error,
    ValidationError: _on_invalid,
    Http404: _on_missing,
    RequestDataTooBig: _on_too_big,
    Refused: _on_refused,
    BeingErased: _on_erasing,
    TooLate: _on_erasing,
    IntegrityError: _on_constraint,
    Exception: _on_unforeseen,
}
