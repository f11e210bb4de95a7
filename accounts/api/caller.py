"""Who calls: the token in `Authorization`, what it may do, and how often it may ask."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from ninja.security import HttpBearer

from accounts.api import problems, tokens
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import ApiToken, Scope
from accounts.core import clock, limits
from accounts.core.strict_json import TooLarge, read_body
from accounts.customers.history import Actor
from accounts.customers.product_api import has_token

#: A body of the API's: an account with its owner has a thousandth of it.
MOST_BYTES = 256 * 1024
#: What a token of the environment (`API_TOKENS`) may do here; the door of resources is none of these.
OF_THE_ENVIRONMENT = frozenset({Scope.ENTITLEMENTS_READ})
CHALLENGE = 'Bearer realm="api"'
MINUTE = 60


@dataclass(frozen=True)
class Caller:
    """A system of the vendor's own. `token` is None for one that stands in the environment: those only read."""

    token: ApiToken | None
    at: datetime

    @property
    def row(self) -> ApiToken:
        """The token's row; whoever changes something has one."""
        assert self.token is not None
        return self.token

    @property
    def actor(self) -> Actor:
        """Who does it, for the history."""
        return Actor.api(self.row.pk)


def caller_of(request: HttpRequest) -> Caller:
    """Who calls, as `Token` has found out."""
    caller: Caller = request.auth  # type: ignore[attr-defined]  # set by django-ninja, to what `Token` returned
    return caller


class Token(HttpBearer):
    """A valid token with this scope, that has not asked too often. Raises 401, 403, 429; 413, 415 for its body."""

    openapi_description = "A token made by `manage.py token`."

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller:
        at = clock.of(request)
        token = _token_of(request, at)
        granted = OF_THE_ENVIRONMENT if token is None else frozenset(token.scopes)
        if self.scope not in granted:
            raise Problem(
                problems.FORBIDDEN,
                f"This call needs the scope {self.scope}.",
                headers={"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{self.scope}"'},
            )
        if token:
            token.note_use(at)
        _read(request)
        return Caller(token, at)

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        """Part of django-ninja's class: what `__call__` does replaces it."""
        raise NotImplementedError("django-ninja calls the token itself")


def _token_of(request: HttpRequest, at: datetime) -> ApiToken | None:
    """The valid token; None for one of the environment. Raises 401, and 429 for one that asks too often."""
    scheme, _blank, given = request.headers.get("Authorization", "").partition(" ")
    found = tokens.find(given.strip()) if scheme.lower() == "bearer" else None
    if not (found.is_valid(at) if found else has_token(request)):
        said = f'{CHALLENGE}, error="invalid_token"' if given else CHALLENGE
        raise Problem(problems.UNAUTHORIZED, headers={"WWW-Authenticate": said})
    _limit(found, at)
    return found


def _limit(token: ApiToken | None, at: datetime) -> None:
    """Count the call, in the cache: while Redis is away each process counts for itself (`config.cache`)."""
    minute, second = divmod(int(clock.now().timestamp()), MINUTE)
    whom = f"{token.pk if token else 'environment'}:{minute}"
    if limits.is_often("api", whom, most=settings.API_CALLS_A_MINUTE, seconds=MINUTE):
        raise Problem(problems.TOO_MANY, headers={"Retry-After": str(MINUTE - second)})


def _read(request: HttpRequest) -> None:
    """Have the body ready, as `request.body`. Raises 413 for one that is too long, 415 for one that is no JSON."""
    try:
        body = read_body(request, limit=MOST_BYTES)
    except TooLarge as error:
        raise Problem(problems.TOO_LARGE) from error
    allowed: frozenset[str] = request.api_query  # type: ignore[attr-defined]  # set by `accounts.api.application`
    if settings.ALLOW_TIME_TRAVEL:
        allowed |= {"at"}
    if not set(request.GET) <= allowed:
        unknown = FieldError("query:", "unknown_field", "There is a parameter here that we do not know.")
        raise Problem(problems.INVALID, errors=[unknown])
    request._body = body  # where Django keeps what it has read
    if body and request.content_type != "application/json":
        raise Problem(problems.NOT_JSON)
