"""A call as the endpoints see it, what they answer, and who may call."""

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt

from tests.fakes.github.state import Token
from tests.fakes.github.traffic import AuthKind, error

if TYPE_CHECKING:
    from tests.fakes.github.fake import FakeGitHub

# GitHub accepts an App's JWT for so many seconds at most.
LONGEST_JWT = 600
CLOCK_DRIFT = 60


@dataclass
class Answer:
    status: int = 200
    # JSON, or text if it is a str.
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = Answer(status, error(status, message, **more))


@dataclass
class Call:
    """A request, read."""

    method: str
    path: str
    query: str
    authorization: str
    accept: str
    body: Any

    @property
    def auth(self) -> AuthKind:
        scheme, _, credentials = self.authorization.partition(" ")
        if not scheme:
            return "none"
        if scheme.lower() == "basic":
            return "basic"
        return "jwt" if credentials.count(".") == 2 else "token"

    @property
    def credentials(self) -> str:
        return self.authorization.partition(" ")[2].strip()

    @property
    def subject(self) -> str:
        subject = self.body.get("access_token", "") if isinstance(self.body, dict) else ""
        return subject if isinstance(subject, str) else ""

    def argument(self, name: str, default: str = "") -> str:
        return parse_qs(self.query).get(name, [default])[-1]


Endpoint = Callable[["FakeGitHub", Call, dict[str, str]], Answer]


class Endpoints:
    """Functions by method and path, `{name}` for a part that varies."""

    def __init__(self) -> None:
        self._known: list[tuple[str, re.Pattern[str], Endpoint]] = []

    def at(self, method: str, path: str) -> Callable[[Endpoint], Endpoint]:
        pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))

        def register(endpoint: Endpoint) -> Endpoint:
            self._known.append((method, pattern, endpoint))
            return endpoint

        return register

    def respond(self, github: "FakeGitHub", call: Call) -> Answer:
        try:
            for method, pattern, endpoint in self._known:
                if method == call.method and (found := pattern.fullmatch(call.path)):
                    return endpoint(github, call, found.groupdict())
            raise Refused(404, "Not Found")
        except Refused as refused:
            return refused.answer


def require_app(github: "FakeGitHub", call: Call) -> None:
    if call.auth == "basic":
        require_secret(github, call, {})
    else:
        require_jwt(github, call)


def require_secret(github: "FakeGitHub", call: Call, at: dict[str, str]) -> None:
    if call.auth != "basic":
        raise Refused(401, "Requires authentication")
    try:
        client_id, _, client_secret = base64.b64decode(call.credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(401, "Bad credentials") from None
    if (client_id, client_secret) != (github.client_id, github.client_secret):
        raise Refused(401, "Bad credentials")
    if at.get("client_id", client_id) != client_id:
        raise Refused(404, "Not Found")


def require_jwt(github: "FakeGitHub", call: Call) -> None:
    """Checked against this machine's clock, not `now`: it is made with the caller's."""
    if call.auth == "none":
        raise Refused(401, "Requires authentication")
    try:
        claims = jwt.decode(
            call.credentials,
            github.public_key,
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "iss"]},
        )
        issued, expires = int(claims["iat"]), int(claims["exp"])
    except (jwt.InvalidTokenError, ValueError):
        raise Refused(401, "A JSON web token could not be decoded") from None
    if str(claims["iss"]) not in (str(github.app_id), github.client_id):
        raise Refused(401, "'Issuer' claim ('iss') must be an Integer")
    now = time.time()
    if issued > now + CLOCK_DRIFT:
        raise Refused(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        )
    if expires <= now:
        raise Refused(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the "
            "assertion expires",
        )
    if expires > now + LONGEST_JWT:
        raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")


def require_user(github: "FakeGitHub", call: Call) -> Token:
    if call.auth == "none":
        raise Refused(401, "Requires authentication")
    if token := github.token_of_value(call.credentials):
        return token
    raise Refused(401, "Bad credentials")
