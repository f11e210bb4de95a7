"""What a row may say: an account, its owner, its other members, and one subscription.

Every value is made canonical or refused by `accounts.core.foreign_input`. What is null or empty counts as left out; a
name that is not known is refused, for it is probably one that was meant otherwise.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import ValidationError as Unfit
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from accounts.core import foreign_input
from accounts.customers.account import Role
from accounts.customers.user import MAX_PERSON_NAME
from subscriptions.ending.cancellation import CHOSEN
from subscriptions.imports.refusals import RowRefused
from subscriptions.plan import CURRENCY, Interval
from subscriptions.subscription import MAX_ORDER_REFERENCE, Channel

MAX_ACCOUNT_NAME = 200
#: More people than any account has.
MAX_MEMBERS = 5_000
#: A row's first errors are enough to mend it by.
ERRORS_TOLD = 5
INTERVALS = {"monthly": Interval.MONTHLY, "annual": Interval.ANNUAL, "1": Interval.MONTHLY, "12": Interval.ANNUAL}
_PLAIN_NAME = re.compile(r"[a-z][a-z_]{0,30}")


# Values


def _fit(canonical: Callable[[str], Any]) -> BeforeValidator:
    """A text in its canonical form. Numbers count as the text that they are written as: ids are often numbers."""

    def read(value: object) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise PydanticCustomError("text", "This is no text.")
        try:
            return canonical(str(value))
        except Unfit as error:
            raise PydanticCustomError("unfit", "{why}", {"why": " ".join(error.messages)}) from None

    return BeforeValidator(read)


def _line(limit: int) -> BeforeValidator:
    def read(text: str) -> str:
        name = foreign_input.name(text, limit=limit)
        if not name:
            raise PydanticCustomError("empty", "This is empty.")
        return name

    return _fit(read)


def _one_of(values: Mapping[str, Any]) -> BeforeValidator:
    def read(text: str) -> Any:
        try:
            return values[text.strip().lower()]
        except KeyError:
            known = ", ".join(values)
            raise PydanticCustomError("choice", "This is none of: {known}.", {"known": known}) from None

    return _fit(read)


def _zone(text: str) -> str:
    if not foreign_input.is_zone(text):
        raise PydanticCustomError("zone", "This is no time zone, such as Europe/Paris.")
    return text


def _currency(text: str) -> str:
    code = text.strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise PydanticCustomError("currency", "This is no currency, such as USD.")
    return code


def _quantity(least: int, most: int) -> BeforeValidator:
    def read(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,12}\s*", value, re.ASCII):
            value = int(value)
        number = foreign_input.quantity(value, most=most)
        if number is None or number < least:
            raise PydanticCustomError(
                "quantity", "This is no whole number from {least} to {most}.", {"least": least, "most": most}
            )
        return number

    return BeforeValidator(read)


def _same(values: list[str]) -> dict[str, str]:
    return {value: value for value in values}


ExternalId = Annotated[str, _line(foreign_input.MAX_EXTERNAL_ID)]
Address = Annotated[str, _fit(foreign_input.address)]
Instant = Annotated[datetime, _fit(foreign_input.instant_in)]
Language = Annotated[str, _one_of(_same([code for code, _name in settings.LANGUAGES]))]
Zone = Annotated[str, _fit(_zone)]


# Shapes


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(_Shape):
    email: Address
    name: Annotated[str, _line(MAX_PERSON_NAME)] = ""
    external_id: ExternalId | None = None
    language: Language = ""
    time_zone: Zone = "UTC"
    joined_at: Instant | None = None


class Member(Person):
    role: Annotated[str, _one_of({"admin": Role.ADMIN, "user": Role.USER})] = Role.USER


class Terms(_Shape):
    """A subscription. `cents` are for one seat and one cycle: what this customer pays, not what the list says."""

    external_id: ExternalId | None = None
    plan: Annotated[str, _line(40)]
    channel: Annotated[str, _one_of(_same(Channel.values))] = Channel.DIRECT
    interval: Annotated[int, _one_of(INTERVALS)]
    seats: Annotated[int, _quantity(1, foreign_input.MAX_SEATS)] = 1
    cents: Annotated[int, _quantity(0, foreign_input.MAX_CENTS)]
    currency: Annotated[str, _fit(_currency)] = CURRENCY
    order_reference: Annotated[str, _line(MAX_ORDER_REFERENCE)] = ""
    started_at: Instant
    trial_ends_at: Instant | None = None
    anchor_at: Instant | None = None
    ends_at: Instant | None = None
    cancelled_at: Instant | None = None
    cancellation_reason: Annotated[str, _one_of(_same([code for code, _label in CHOSEN]))] = ""


class Row(_Shape):
    external_id: ExternalId
    name: Annotated[str, _line(MAX_ACCOUNT_NAME)]
    created_at: Instant | None = None
    owner: Person
    members: Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)] = ()
    subscription: Terms | None = None

    def people(self) -> tuple[Person, ...]:
        return (self.owner, *self.members)


# Reading

_PARTS: dict[str, type[_Shape]] = {"owner": Person, "subscription": Terms}
#: The columns of a CSV file: what an object holds has its name before it; members are a list in one cell.
COLUMNS = frozenset(
    {"external_id", "name", "created_at", "members"}
    | {f"{part}.{field}" for part, shape in _PARTS.items() for field in shape.model_fields}
)


def row_in(document: Mapping[str, Any]) -> Row:
    """The row that a line says, of a CSV file too. Raises `RowRefused`."""
    try:
        return Row.model_validate(_nested(document))
    except ValidationError as invalid:
        told = [
            f"{_place(error['loc'])}: {_words(error['type'], error['msg'])}"
            for error in invalid.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise RowRefused("invalid", " ".join(told[:ERRORS_TOLD])) from None


def external_id_in(document: Mapping[str, Any]) -> str:
    """For the report: what a row calls its account, if it can be told."""
    value = document.get("external_id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return foreign_input.external_id_or_nothing(str(value))


def _nested(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty; `owner.email` of a CSV file is the owner's email."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if value is None or value == "":
            continue
        if isinstance(value, Mapping):
            value = _nested(value)
        elif isinstance(value, list):
            value = [_nested(item) if isinstance(item, Mapping) else item for item in value]
        part, point, field = name.partition(".")
        if point and part in _PARTS:
            found.setdefault(part, {})[field] = value
        elif name == "members" and isinstance(value, str):
            found[name] = _members(value)
        else:
            found[name] = value
    return found


def _members(cell: str) -> list[dict[str, str]]:
    """`ada@example.org admin; bob@example.org`: an address, and the role behind it unless it is `user`."""
    found = []
    for written in filter(None, (part.strip() for part in cell.split(";"))):
        email, _blank, role = written.partition(" ")
        found.append({"email": email, **({"role": role} if role.strip() else {})})
    return found


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the row. What is no name of ours is not repeated: it may be an address that slipped into the wrong
    place."""
    return ".".join(
        str(step + 1) if isinstance(step, int) else step if _PLAIN_NAME.fullmatch(step) else "(unknown)"
        for step in location
    )


def _words(kind: str, message: str) -> str:
    return {
        "missing": "This is missing.",
        "extra_forbidden": "There is no such field.",
        "model_type": "This is no object.",
        "model_attributes_type": "This is no object.",
        "tuple_type": "This is no list.",
    }.get(kind, message)
