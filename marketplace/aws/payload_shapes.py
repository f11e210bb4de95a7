"""The shapes of what AWS sends, as far as it is needed here: SNS notifications and EventBridge events.

Read by `marketplace.aws.payloads`. Keys may be in any spelling, values are trimmed, booleans may be strings; what is
there and can't be read is an error, what is absent is empty or None, and what nobody here needs is left aside.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from django.core.exceptions import ValidationError as InstantError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from accounts.core import foreign_input
from marketplace.aws.vocabulary import Names

#: Longer than any id of AWS's.
MAX_ID = 64
#: Longer than anything that is worth a place in the history.
MAX_FACT = 80
LICENCE = re.compile(r"(?:^|[:/])(l-[0-9A-Za-z]+)$")


class Unreadable(ValueError):
    """What is needed is missing, or makes no sense. The message names it."""


def licence_in(arn: str) -> str:
    """The `l-…` part of a licence's ARN; empty if there is none. All that is compared: AWS varies the rest."""
    found = LICENCE.search(arn.strip())
    return found[1] if found and len(found[1]) <= MAX_ID else ""


# Values


def _as_text(value: object) -> str:
    """The trimmed text, also of a number; empty for anything else."""
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _as_id(value: object) -> str:
    text = _as_text(value)
    if len(text) > MAX_ID:
        raise PydanticCustomError("id", "is no id.")
    return text


def _as_account(value: object) -> str:
    text = _as_text(value)
    if text and not re.fullmatch(r"[0-9]{12}", text):
        raise PydanticCustomError("account", "is no AWS account.")
    return text


def _as_instant(value: object) -> datetime | None:
    if value == "":
        return None
    if not isinstance(value, str):
        raise PydanticCustomError("instant", "is not an instant.")
    try:
        return foreign_input.instant_in(value)
    except InstantError as error:
        if error.code == "year":
            # Such as the end of a contract that has none: as good as not told.
            return None
        raise PydanticCustomError("instant", "“{begins}” is not an instant.", {"begins": value[:40]}) from None


def _as_flag(value: object) -> bool:
    """True and false, also as strings: SNS sends "true" (facts/aws-marketplace, 2.2)."""
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise PydanticCustomError("flag", "is neither true nor false.")
    return text == "true"


Text = Annotated[str, BeforeValidator(_as_text)]
Id = Annotated[str, BeforeValidator(_as_id)]
AwsAccount = Annotated[str, BeforeValidator(_as_account)]
Instant = Annotated[datetime | None, BeforeValidator(_as_instant)]
Flag = Annotated[bool | None, BeforeValidator(_as_flag)]


# Shapes


def _plain(key: str) -> str:
    return "".join(letter for letter in key.lower() if letter.isalnum())


class AwsShape(BaseModel):
    """An object of AWS's: each key in any spelling, first in that of AWS's own documents (the alias)."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _as_documented(cls, value: object) -> dict[str, object]:
        if not isinstance(value, Mapping):
            raise PydanticCustomError("object", "is not an object.")
        known = {_plain(field.alias or name): field.alias or name for name, field in cls.model_fields.items()}
        found: dict[str, object] = {}
        for key, item in value.items():
            name = known.get(_plain(str(key)))
            # Null is as good as absent.
            if name and item is not None and (name not in found or key == name):
                found[name] = item
        return found

    @classmethod
    def read(cls, value: object) -> Self:
        """The shape of this value. Raises `Unreadable`, which names what is wrong first."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Unreadable(f"`{place}` {first['msg']}" if place else f"`Message` {first['msg']}") from None


class NotificationShape(AwsShape):
    message: Any = Field(None, alias="Message")
    timestamp: Instant = Field(None, alias="Timestamp")


class Action(AwsShape):
    action: Text = ""


class Notification(AwsShape):
    """What an SNS topic of AWS Marketplace says (facts/aws-marketplace, 2.2)."""

    agreement_id: Id = Field("", alias="agreement-id")
    license_arn: Text = Field("", alias="license-arn")
    customer_aws_account_id: AwsAccount = Field("", alias="customer-aws-account-id")
    customer_identifier: Id = Field("", alias="customer-identifier")
    product_code: Id = Field("", alias="product-code")
    offer_identifier: Id = Field("", alias="offer-identifier")
    is_free_trial_term_present: Flag = None


class _Agreement(AwsShape):
    id: Id = ""
    status: Text = ""
    intent: Text = ""
    acceptance_time: Instant = None
    start_time: Instant = None
    end_time: Instant = None
    auto_renewal_enabled: Flag = None
    previous_agreement_id: Id = ""
    days_before_end_time: Text = ""
    # Cancellation requests carry these inside of the agreement.
    acceptor_id: AwsAccount = ""
    product_id: Id = ""
    offer_id: Id = ""


class _Product(AwsShape):
    id: Id = ""
    code: Id = ""


class _License(AwsShape):
    arn: Text = ""
    id: Text = ""


class _Party(AwsShape):
    account_id: AwsAccount = ""


class _Offer(AwsShape):
    id: Id = ""


class _CancellationRequest(AwsShape):
    id: Text = ""
    reason_code: Text = ""
    status_code: Text = ""


class _BillingAdjustment(AwsShape):
    id: Text = ""
    adjustment_amount: Text = ""
    currency_code: Text = ""
    adjustment_reason_code: Text = ""


class _Invoice(AwsShape):
    original_invoice_id: Text = ""


class _RenewalSummary(AwsShape):
    disabled_by: Text = ""
    lockout_start_time: Text = ""


class _Detail(AwsShape):
    """What an event is about (facts/aws-marketplace, 2.3). No part is in every event."""

    agreement: _Agreement = _Agreement()
    product: _Product = _Product()
    license: _License = _License()
    acceptor: _Party = _Party()
    offer: _Offer = _Offer()
    agreement_cancellation_request: _CancellationRequest = _CancellationRequest()
    billing_adjustment_request: _BillingAdjustment = _BillingAdjustment()
    invoice: _Invoice = _Invoice()
    renewal_summary: _RenewalSummary = _RenewalSummary()

    def names(self) -> Names:
        return Names(
            agreement_id=self.agreement.id,
            licence_id=licence_in(self.license.arn or self.license.id),
            aws_account_id=self.acceptor.account_id or self.agreement.acceptor_id,
            product_code=self.product.code,
            product_id=self.product.id or self.agreement.product_id,
            offer_id=self.offer.id or self.agreement.offer_id,
        )

    def facts(self) -> dict[str, str]:
        """Ids, codes and amounts of what is only noted. No texts that a person wrote."""
        told = self.model_dump(
            by_alias=True,
            include={
                "agreement": {"days_before_end_time"},
                "agreement_cancellation_request": True,
                "billing_adjustment_request": True,
                "invoice": True,
                "renewal_summary": True,
            },
        )
        return {
            f"{part}.{name}": text[:MAX_FACT] for part, found in told.items() for name, text in found.items() if text
        }


class EventKindShape(AwsShape):
    detail_type: Text = Field("", alias="detail-type")


class EventShape(AwsShape):
    time: Instant = None
    detail: _Detail | None = None
