"""Reading what AWS says: SNS messages and EventBridge events into one vocabulary.

The two styles tell of the same facts (facts/aws-marketplace, 2.2 and 2.3), so both are read into the same `Said`: which
purchase, which word, when by AWS's clock. Old and new style of a fact then have one effect because they are one thing.
AWS's documents disagree about spelling: `customer-identifier` and `CustomerIdentifier` are the same key, values are
trimmed, booleans may be strings. What is there and can't be read is an error; what is absent is merely unknown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from django.core.exceptions import ValidationError

from accounts.core import foreign_input, strict_json
from marketplace.aws.agreement import EndReason

#: Longer than any id of AWS's.
MAX_ID = 64
LICENCE = re.compile(r"(?:^|[:/])(l-[0-9A-Za-z]+)$")
PROPOSER, MANUFACTURER = " - Proposer", " - Manufacturer"
SUFFIXES = (PROPOSER, MANUFACTURER)


class Unreadable(ValueError):
    """What is needed is missing, or makes no sense. The message names it."""


class Word(Enum):
    """What was said of a purchase."""

    RUNS = auto()
    AMENDED = auto()
    FAILED = auto()
    LEAVING = auto()  # the final hour begins
    ENDED = auto()  # likewise, in EventBridge's words: the agreement has ended
    OVER = auto()
    RENEWED = auto()  # it ends only to go on under another agreement
    ASK = auto()  # something changed; AWS's answer says what
    DEPROVISIONED = auto()
    NOTED = auto()  # for the history


@dataclass(frozen=True)
class Names:
    """How a purchase is named, as far as it was; empty: not told."""

    agreement_id: str = ""
    licence_id: str = ""
    aws_account_id: str = ""
    customer_identifier: str = ""
    product_code: str = ""
    product_id: str = ""
    offer_id: str = ""

    def known(self) -> dict[str, str]:
        """Those that are known, by the fields of an agreement."""
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class Terms:
    """What was said of an agreement's terms; None: not told."""

    accepted_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    auto_renewal: bool | None = None
    on_trial: bool | None = None


@dataclass(frozen=True)
class Said:
    """One message. `kind` is AWS's own name for it; `facts` are ids, codes and counts for the history."""

    kind: str
    word: Word
    at: datetime
    names: Names
    terms: Terms = Terms()
    end_reason: EndReason = EndReason.UNSUBSCRIBED
    #: The agreement that this one renews or replaces; empty if that is not told.
    previous_agreement_id: str = ""
    continues: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    #: What staff should look at.
    alert: str = ""


#: The actions of SNS.
ACTIONS = {
    "subscribe-success": Word.RUNS,
    "subscribe-fail": Word.FAILED,
    "unsubscribe-pending": Word.LEAVING,
    "unsubscribe-success": Word.OVER,
    "entitlement-updated": Word.ASK,
}
#: The detail types of EventBridge, without their suffix. `Ended` is read by its status.
DETAIL_TYPES = {
    "Purchase Agreement Created": Word.RUNS,
    "Purchase Agreement Amended": Word.AMENDED,
    "Purchase Agreement Ended": Word.ENDED,
    "Purchase Agreement Ending": Word.NOTED,
    "Purchase Agreement Renewal Terms Finalized": Word.NOTED,
    "Purchase Agreement Renewal Upcoming": Word.NOTED,
    "Purchase Agreement Advisory Issued": Word.NOTED,
    "Purchase Agreement Advisory Resolved": Word.NOTED,
    "License Updated": Word.ASK,
    "License Deprovisioned": Word.DEPROVISIONED,
    "Agreement Cancellation Request Pending Approval": Word.NOTED,
    "Agreement Cancellation Request Approved": Word.NOTED,
    "Agreement Cancellation Request Rejected": Word.NOTED,
    "Agreement Cancellation Request Cancelled": Word.NOTED,
    "Agreement Cancellation Request Validation Failed": Word.NOTED,
    "Purchase Agreement Billing Adjustment Completed": Word.NOTED,
    "Purchase Agreement Billing Adjustment Failed": Word.NOTED,
}
#: What staff should look at, by the detail type's last words.
ALARMING = ("Validation Failed", "Adjustment Failed", "Advisory Issued", "Pending Approval")
#: The statuses of an agreement that is over, and why. RENEWED, REPLACED and SUPERSEDED are no ends.
ENDED: dict[str, EndReason] = {
    "CANCELLED": EndReason.CANCELLED,
    "EXPIRED": EndReason.EXPIRED,
    "TERMINATED": EndReason.TERMINATED,
    "ARCHIVED": EndReason.WITHDRAWN,
    "ROLLED_BACK": EndReason.WITHDRAWN,
}
CONTINUED = frozenset({"RENEWED", "REPLACED", "SUPERSEDED"})


def read_notification(envelope: Mapping[str, Any]) -> Said | None:
    """An SNS notification of one of the two topics. None: an action that is not known. Raises `Unreadable`."""
    text = envelope.get("Message")
    if not isinstance(text, str):
        raise Unreadable("`Message` is missing.")
    try:
        message = strict_json.parse(text)
    except strict_json.BadJSON as error:
        raise Unreadable(f"`Message`: {error}") from error
    if not isinstance(message, dict):
        raise Unreadable("`Message` is not an object.")
    kind = _text(message, "action").lower()
    if kind not in ACTIONS:
        return None
    names = Names(
        agreement_id=_id(message, "agreement-id"),
        licence_id=licence_in(_text(message, "license-arn")),
        aws_account_id=_aws_account(message, "customer-aws-account-id"),
        customer_identifier=_id(message, "customer-identifier"),
        product_code=_id(message, "product-code"),
        offer_id=_id(message, "offer-identifier"),
    )
    if not (names.customer_identifier or names.aws_account_id or names.agreement_id or names.licence_id):
        raise Unreadable("Neither `customer-identifier` nor another name of the customer is there.")
    said_at = _instant(envelope, "Timestamp")
    if said_at is None:
        raise Unreadable("`Timestamp` is missing.")
    terms = Terms(on_trial=_boolean(message, "isFreeTrialTermPresent"))
    return Said(kind=kind, word=ACTIONS[kind], at=said_at, names=names, terms=terms)


def kind_of_event(event: Mapping[str, Any]) -> str:
    """The detail type without `- Proposer` or `- Manufacturer`: either may come (facts/aws-marketplace, 2.3)."""
    kind = _text(event, "detail-type")
    for suffix in SUFFIXES:
        kind = kind.removesuffix(suffix)
    return kind


def read_event(event: Mapping[str, Any]) -> Said | None:
    """An EventBridge event. None: a detail type that is not known. Raises `Unreadable`."""
    kind = kind_of_event(event)
    if kind not in DETAIL_TYPES:
        return None
    detail = _mapping(event, "detail")
    if detail is None:
        raise Unreadable("`detail` is missing.")
    said_at = _instant(event, "time")
    if said_at is None:
        raise Unreadable("`time` is missing.")
    agreement = _mapping(detail, "agreement") or {}
    status = _text(agreement, "status").upper()
    word, end_reason = DETAIL_TYPES[kind], EndReason.UNSUBSCRIBED
    if word is Word.ENDED:
        word, end_reason = _end(status)
    elif word in (Word.RUNS, Word.AMENDED) and status not in ("", "ACTIVE"):
        word = Word.ASK
    names = _names(detail, agreement)
    # What is only noted may be about an invoice.
    if not names.agreement_id and word is not Word.NOTED:
        raise Unreadable("`agreement.id` is missing.")
    return Said(
        kind=kind,
        word=word,
        at=said_at,
        names=names,
        terms=Terms(
            accepted_at=_instant(agreement, "acceptanceTime"),
            starts_at=_instant(agreement, "startTime"),
            ends_at=_instant(agreement, "endTime"),
            auto_renewal=_boolean(agreement, "autoRenewalEnabled"),
        ),
        end_reason=end_reason,
        previous_agreement_id=_id(agreement, "previousAgreementId"),
        continues=_text(agreement, "intent").upper() in ("RENEW", "REPLACE"),
        facts=_facts(detail),
        alert=f"{kind}: please look at the agreement at AWS." if kind.endswith(ALARMING) else "",
    )


def licence_in(arn: str) -> str:
    """The `l-…` part of a licence's ARN; empty if there is none. All that is compared: AWS varies the rest."""
    found = LICENCE.search(arn.strip())
    return found[1] if found and len(found[1]) <= MAX_ID else ""


def _end(status: str) -> tuple[Word, EndReason]:
    if status in CONTINUED:
        return Word.RENEWED, EndReason.UNSUBSCRIBED
    if status in ENDED:
        return Word.ENDED, ENDED[status]
    # ACTIVE, or a status that is new to us: AWS's own answer decides.
    return Word.ASK, EndReason.UNSUBSCRIBED


def _names(detail: Mapping[str, Any], agreement: Mapping[str, Any]) -> Names:
    product, licence = _mapping(detail, "product") or {}, _mapping(detail, "license") or {}
    acceptor, offer = _mapping(detail, "acceptor") or {}, _mapping(detail, "offer") or {}
    return Names(
        agreement_id=_id(agreement, "id"),
        licence_id=licence_in(_text(licence, "arn") or _text(licence, "id")),
        # Cancellation requests carry these inside of the agreement.
        aws_account_id=_aws_account(acceptor, "accountId") or _aws_account(agreement, "acceptorId"),
        product_code=_id(product, "code"),
        product_id=_id(product, "id") or _id(agreement, "productId"),
        offer_id=_id(offer, "id") or _id(agreement, "offerId"),
    )


def _facts(detail: Mapping[str, Any]) -> dict[str, str]:
    """Ids, codes and amounts of what is only noted. No texts that a person wrote."""
    facts = {}
    for part, names in {
        "agreementCancellationRequest": ("id", "reasonCode", "statusCode"),
        "billingAdjustmentRequest": ("id", "adjustmentAmount", "currencyCode", "adjustmentReasonCode"),
        "invoice": ("originalInvoiceId",),
        "agreement": ("daysBeforeEndTime",),
        "renewalSummary": ("disabledBy", "lockoutStartTime"),
    }.items():
        found = _mapping(detail, part) or {}
        facts.update({f"{part}.{name}": text for name in names if (text := _text(found, name)[:80])})
    return facts


def _value(mapping: Mapping[str, Any], name: str) -> Any:
    """The value under this key, however it is spelt."""
    if name in mapping:
        return mapping[name]
    wanted = _plain(name)
    return next((value for key, value in mapping.items() if _plain(key) == wanted), None)


def _plain(key: str) -> str:
    return "".join(letter for letter in key.lower() if letter.isalnum())


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = _value(parent, name)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise Unreadable(f"`{name}` is not an object.")
    return value


def _text(mapping: Mapping[str, Any], name: str) -> str:
    """The trimmed text under a key, also of a number; empty if there is none."""
    value = _value(mapping, name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def _id(mapping: Mapping[str, Any], name: str) -> str:
    text = _text(mapping, name)
    if len(text) > MAX_ID:
        raise Unreadable(f"`{name}` is no id.")
    return text


def _aws_account(mapping: Mapping[str, Any], name: str) -> str:
    text = _text(mapping, name)
    if text and not re.fullmatch(r"[0-9]{12}", text):
        raise Unreadable(f"`{name}` is no AWS account.")
    return text


def _instant(mapping: Mapping[str, Any], name: str) -> datetime | None:
    value = _value(mapping, name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unreadable(f"`{name}` is not an instant.")
    try:
        return foreign_input.instant_in(value)
    except ValidationError as error:
        if error.code == "year":
            # Such as the end of a contract that has none: as good as not told.
            return None
        raise Unreadable(f"`{name}`: “{value[:40]}” is not an instant.") from None


def _boolean(mapping: Mapping[str, Any], name: str) -> bool | None:
    """True and false, also as strings: SNS sends "true" (facts/aws-marketplace, 2.2)."""
    value = _value(mapping, name)
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise Unreadable(f"`{name}` is neither true nor false.")
    return text == "true"
