"""What the API takes and gives, field by field. What comes from outside passes `accounts.core.foreign_input`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints
from pydantic_core import PydanticCustomError

from accounts.core import foreign_input
from accounts.core.clock import rfc3339
from accounts.customers.user import MAX_PERSON_NAME

MAX_ACCOUNT_NAME = 200
#: RFC 3339: a date, `T`, a time, and a zone. Nothing looser: a local time means another instant to everybody.
INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"


class Body(Schema):
    """What a caller sends: nothing that we do not know is passed over in silence."""

    model_config = ConfigDict(extra="forbid")


class Told(Schema):
    """What we answer: these fields, and no other that a model may have one day."""


def _checked(check: Callable[[str], str | None]) -> Callable[[str], str]:
    def checked(value: str) -> str:
        try:
            return check(value) or ""
        except ValidationError as error:
            raise PydanticCustomError("unfit", "This text can't be taken: it is too long, or can't be kept.") from error

    return checked


def _not_empty(value: str) -> str:
    if not value:
        raise PydanticCustomError("empty", "This may not be empty.")
    return value


def _instant(value: str) -> datetime:
    try:
        return foreign_input.instant(datetime.fromisoformat(value.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise PydanticCustomError("instant", "There is no such instant.") from None
    except ValidationError:
        raise PydanticCustomError("year", "The year has to be one from 2000 to 2099.") from None


def _language(value: str) -> str:
    if value and value not in dict(settings.LANGUAGES):
        raise PydanticCustomError("language", "This is none of our languages.")
    return value


def _zone(value: str) -> str:
    if not foreign_input.is_zone(value):
        raise PydanticCustomError("zone", "This names no zone of the IANA database.")
    return value


def _text_before(value: Any) -> Any:
    """A number, a list or a truth is no instant, though Python could make one of it."""
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


ExternalId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=foreign_input.MAX_EXTERNAL_ID),
    AfterValidator(_checked(foreign_input.external_id)),
    AfterValidator(_not_empty),
    Field(description="Your own system's id. Capitals count; blanks around it do not."),
]
AccountName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ACCOUNT_NAME),
    AfterValidator(_checked(lambda text: foreign_input.name(text, limit=MAX_ACCOUNT_NAME))),
    AfterValidator(_not_empty),
]
PersonName = Annotated[
    str,
    StringConstraints(max_length=MAX_PERSON_NAME),
    AfterValidator(_checked(lambda text: foreign_input.name(text, limit=MAX_PERSON_NAME))),
]
Address = Annotated[
    str,
    StringConstraints(min_length=3, max_length=foreign_input.MAX_ADDRESS),
    AfterValidator(_checked(foreign_input.address)),
    Field(description="A mail address; kept in lower case."),
]
Language = Annotated[str, AfterValidator(_language), Field(description="`en` or `fr`; empty: as the browser asks.")]
Zone = Annotated[
    str, StringConstraints(max_length=64), AfterValidator(_zone), Field(description="Such as `Europe/Paris`.")
]
#: As it is sent: only RFC 3339, with a zone, in a year that can be meant.
InstantIn = Annotated[
    str,
    BeforeValidator(_text_before),
    StringConstraints(pattern=INSTANT, max_length=32),
    AfterValidator(_instant),
    Field(description="RFC 3339 with a zone, in a year from 2000 to 2099.", examples=["2026-12-01T09:30:00Z"]),
]
#: As it is told: UTC.
InstantOut = Annotated[
    datetime, PlainSerializer(rfc3339, return_type=str), Field(json_schema_extra={"format": "date-time"})
]
Cents = Annotated[int, Field(ge=0, le=foreign_input.MAX_CENTS, strict=True, description="Whole cents.")]
Seats = Annotated[int, Field(ge=1, le=foreign_input.MAX_SEATS, strict=True)]
Notify = Annotated[
    bool, Field(strict=True, description="Whether people get the mails that this change brings. `false`: none.")
]
