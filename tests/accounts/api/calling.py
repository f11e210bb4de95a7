"""Calling the API as a system of the vendor's own does: with a token, in JSON."""

import json
from datetime import datetime
from typing import Any

from django.test import Client

from accounts.api import tokens
from accounts.api.tokens import Scope
from accounts.core import clock
from accounts.customers.history import Actor

ROOT = "/api/v1/"
HARBOUR = {
    "external_id": "cust-1",
    "name": "Harbour Diagrams",
    "owner": {
        "external_id": "u-1",
        "email": "Olga@Harbour.example",
        "name": "Olga Owner",
        "language": "fr",
        "time_zone": "Europe/Paris",
    },
}


class Caller:
    """A token, and calls with it."""

    def __init__(self, *scopes: str, name: str = "product", expires_at: datetime | None = None) -> None:
        self.token, self.text = tokens.make(
            name, scopes or Scope.values, by=Actor.system(), at=clock.now(), expires_at=expires_at
        )

    def __call__(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """Send it. `body`: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return Client(raise_request_exception=False).generic(
            method,
            ROOT + path,
            content,
            content_type="application/json" if content else "",
            headers={"Authorization": f"Bearer {self.text}", **(headers or {})},
        )

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, headers=_named(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, {} if body is None else body, headers=_named(headers))

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self("PUT", path, body, headers=_named(headers))

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self("PATCH", path, body, headers=_named(headers))

    def delete(self, path: str, **headers: str) -> Any:
        return self("DELETE", path, headers=_named(headers))

    @property
    def actor(self) -> tuple[str, int]:
        """As the history names it."""
        return "api", self.token.pk


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def problem(response: Any) -> tuple[int, str]:
    """Status and code of a problem, which is whole."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "errors"}
    assert body["status"] == response.status_code
    assert body["type"] == f"http://testserver/api/v1/problems/{body['code']}/"
    assert body["title"]
    assert body["detail"]
    return response.status_code, body["code"]


def pointers(response: Any) -> list[str]:
    """Which fields a problem names."""
    return sorted(error["pointer"] for error in response.json()["errors"])
