"""What AWS says: SNS messages and EventBridge events, in whatever order and however often they come.

Three things happen to each, once: it is found out which purchase it is about (`identification`), what it says is
applied to that purchase's own dates (`lifecycle`), and the account is brought in line with them (`purchases`).

A message is a hint (design, idea 7): what can be undone is done at once, and AWS is asked afterwards
(`marketplace.aws.checks`). Both styles are read into the same words (`marketplace.aws.payloads`), and a word counts by
AWS's clock, so an older one never undoes a newer one. All of it runs in the inbox's transaction and makes no calls.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.core import strict_json
from accounts.inbox import inbox
from accounts.inbox.delivery import Delivery, DeliveryOutcome
from accounts.inbox.sources import InboxSource
from marketplace.aws import matching, purchases
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.identification import identify
from marketplace.aws.payload_shapes import Unreadable
from marketplace.aws.payloads import kind_of_event, read_event, read_notification
from marketplace.aws.refusals import AwsRefusal
from marketplace.aws.sns_topics import handle_confirmation
from marketplace.aws.vocabulary import Said


@dataclass(frozen=True)
class Heard:
    """What came of a message, and which purchase it was about."""

    outcome: DeliveryOutcome
    row: AwsAgreement | None = None


def handle_sns(delivery: Delivery, at: datetime) -> DeliveryOutcome:
    """Process one SNS message: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    envelope = _object_in(delivery)
    if envelope.get("Type") != "Notification":
        return handle_confirmation(delivery, at)
    try:
        said = read_notification(envelope)
    except Unreadable as error:
        raise inbox.Unprocessable(str(error)) from error
    return _apply(said, delivery, at)


def handle_event(delivery: Delivery, at: datetime) -> DeliveryOutcome:
    """Process one EventBridge event: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    event = _object_in(delivery)
    delivery.action = kind_of_event(event)[:100]
    try:
        said = read_event(event)
    except Unreadable as error:
        raise inbox.Unprocessable(str(error)) from error
    return _apply(said, delivery, at)


def hear(said: Said, at: datetime) -> Heard:
    """Which purchase is it about, what does it change there, what follows for the account. Raises `Conflict`."""
    matching.lock(said.names, ids=[said.previous_agreement_id])
    found = identify(said, at)
    row = found.row
    if row is None:
        return Heard(found.outcome or DeliveryOutcome.NO_CHANGE)
    if found.outcome is DeliveryOutcome.STALE:
        row.ask(at)
        row.save()
        return Heard(DeliveryOutcome.STALE, row)
    if found.outcome is None:
        outcome = row.apply(said, at)
    else:
        outcome = found.outcome
        row.heard_of(at)
    row.save()
    purchases.bring_in_line(row, at=at)
    return Heard(outcome, row)


def _apply(said: Said | None, delivery: Delivery, at: datetime) -> DeliveryOutcome:
    if said is None:
        return DeliveryOutcome.UNKNOWN
    delivery.action = said.kind[:100]
    delivery.external_account = said.names.of_buyer()[:60]
    delivery.alert = said.alert
    try:
        heard = hear(said, at)
    except purchases.Conflict as conflict:
        raise inbox.Unprocessable(str(conflict)) from conflict
    if heard.row:
        delivery.account_id = heard.row.account_id
    return heard.outcome


def _object_in(delivery: Delivery) -> dict[str, object]:
    if delivery.body is None:
        raise inbox.Unprocessable("The body is no longer kept.")
    try:
        value = strict_json.parse(bytes(delivery.body))
    except strict_json.BadJSON as error:
        raise inbox.Unprocessable(str(error)) from error
    if not isinstance(value, dict):
        raise inbox.Unprocessable("The JSON is not an object.")
    return value


SNS = InboxSource("aws_sns", "AWS SNS", handle_sns, door="aws_sns", refusals=AwsRefusal)
EVENTS = InboxSource("aws_events", "AWS EventBridge", handle_event, door="aws_events", refusals=AwsRefusal)
