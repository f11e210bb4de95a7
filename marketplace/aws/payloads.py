"""Reading what AWS says: SNS messages and EventBridge events into one vocabulary (`marketplace.aws.vocabulary`).

AWS's documents disagree about spelling: `customer-identifier` and `CustomerIdentifier` are the same key, values are
trimmed, booleans may be strings. What is there and can't be read is an error; what is absent is merely unknown, and
what nobody here needs is left aside: AWS adds to its messages as it likes.
"""

from collections.abc import Mapping
from typing import Any

from accounts.core import strict_json
from marketplace.aws.payload_shapes import (
    Action,
    EventKindShape,
    EventShape,
    Notification,
    NotificationShape,
    Unreadable,
    licence_in,
)
from marketplace.aws.vocabulary import AgreementTerms, AwsEndReason, Names, Said, Word

PROPOSER, MANUFACTURER = " - Proposer", " - Manufacturer"
SUFFIXES = (PROPOSER, MANUFACTURER)

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
ENDED: dict[str, AwsEndReason] = {
    "CANCELLED": AwsEndReason.CANCELLED,
    "EXPIRED": AwsEndReason.EXPIRED,
    "TERMINATED": AwsEndReason.TERMINATED,
    "ARCHIVED": AwsEndReason.WITHDRAWN,
    "ROLLED_BACK": AwsEndReason.WITHDRAWN,
}
CONTINUED = frozenset({"RENEWED", "REPLACED", "SUPERSEDED"})


def read_notification(envelope: Mapping[str, Any]) -> Said | None:
    """An SNS notification of one of the two topics. None: an action that is not known. Raises `Unreadable`."""
    sent = NotificationShape.read(envelope)
    if not isinstance(sent.message, str):
        raise Unreadable("`Message` is missing.")
    try:
        content = strict_json.parse(sent.message)
    except strict_json.BadJSON as error:
        raise Unreadable(f"`Message`: {error}") from error
    kind = Action.read(content).action.lower()
    if kind not in ACTIONS:
        return None
    told = Notification.read(content)
    names = Names(
        agreement_id=told.agreement_id,
        licence_id=licence_in(told.license_arn),
        aws_account_id=told.customer_aws_account_id,
        customer_identifier=told.customer_identifier,
        product_code=told.product_code,
        offer_id=told.offer_identifier,
    )
    if not names.of_buyer():
        raise Unreadable("Neither `customer-identifier` nor another name of the customer is there.")
    if sent.timestamp is None:
        raise Unreadable("`Timestamp` is missing.")
    terms = AgreementTerms(on_trial=told.is_free_trial_term_present)
    return Said(kind=kind, word=ACTIONS[kind], at=sent.timestamp, names=names, terms=terms)


def kind_of_event(event: Mapping[str, Any]) -> str:
    """The detail type without `- Proposer` or `- Manufacturer`: either may come (facts/aws-marketplace, 2.3)."""
    kind = EventKindShape.read(event).detail_type
    for suffix in SUFFIXES:
        kind = kind.removesuffix(suffix)
    return kind


def read_event(event: Mapping[str, Any]) -> Said | None:
    """An EventBridge event. None: a detail type that is not known. Raises `Unreadable`."""
    kind = kind_of_event(event)
    if kind not in DETAIL_TYPES:
        return None
    told = EventShape.read(event)
    if told.detail is None:
        raise Unreadable("`detail` is missing.")
    if told.time is None:
        raise Unreadable("`time` is missing.")
    agreement = told.detail.agreement
    status = agreement.status.upper()
    word, end_reason = DETAIL_TYPES[kind], AwsEndReason.UNSUBSCRIBED
    if word is Word.ENDED:
        word, end_reason = _end(status)
    elif word in (Word.RUNS, Word.AMENDED) and status not in ("", "ACTIVE"):
        word = Word.ASK
    # What is only noted may be about an invoice.
    if not agreement.id and word is not Word.NOTED:
        raise Unreadable("`agreement.id` is missing.")
    return Said(
        kind=kind,
        word=word,
        at=told.time,
        names=told.detail.names(),
        terms=AgreementTerms(
            accepted_at=agreement.acceptance_time,
            starts_at=agreement.start_time,
            ends_at=agreement.end_time,
            auto_renewal=agreement.auto_renewal_enabled,
        ),
        end_reason=end_reason,
        previous_agreement_id=agreement.previous_agreement_id,
        continues=agreement.intent.upper() in ("RENEW", "REPLACE"),
        facts=told.detail.facts(),
        alert=f"{kind}: please look at the agreement at AWS." if kind.endswith(ALARMING) else "",
    )


def _end(status: str) -> tuple[Word, AwsEndReason]:
    if status in CONTINUED:
        return Word.RENEWED, AwsEndReason.UNSUBSCRIBED
    if status in ENDED:
        return Word.ENDED, ENDED[status]
    # ACTIVE, or a status that is new to us: AWS's own answer decides.
    return Word.ASK, AwsEndReason.UNSUBSCRIBED
