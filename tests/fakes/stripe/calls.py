"""A request as the endpoints get it, and what they answer."""

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.stripe.spec import Json


@dataclass
class Call:
    method: str
    path: str
    query: str = ""
    #: The query of a GET, else the form: as sent, then as understood.
    given: Json = field(default_factory=dict)
    #: What was in the body, for idempotency.
    raw: bytes = b""
    key: str = ""
    idempotency_key: str | None = None
    version: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    # What stands for the `{...}` of the path.
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
