"""What AWS says, applied: SNS messages and EventBridge events, in whatever order and however often they come.

A message is a hint (design, idea 7): what can be undone is done at once, and AWS is asked afterwards
(`marketplace.aws.checks`). Both styles are read into the same words (`marketplace.aws.payloads`), and a word counts by
AWS's clock, so an older one never undoes a newer one. All of it runs in the inbox's transaction and makes no calls.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.core import strict_json
from marketplace import inbox
from marketplace.aws import matching, purchases
from marketplace.aws.agreement import FINAL_HOUR, Agreement, EndReason
from marketplace.aws.payloads import Names, Said, Unreadable, Word, kind_of_event, read_event, read_notification
from marketplace.aws.sns_topics import handle_confirmation
from marketplace.delivery import Delivery, Outcome
from marketplace.event_kinds import MarketplaceEvent

#: What ends a purchase, or begins its end.
TAKES_AWAY = frozenset({Word.FAILED, Word.LEAVING, Word.ENDED, Word.OVER, Word.DEPROVISIONED})


@dataclass(frozen=True)
class Heard:
    """What came of a message, and which purchase it was about."""

    outcome: Outcome
    row: Agreement | None = None


def handle_sns(delivery: Delivery, at: datetime) -> Outcome:
    """Process one SNS message: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    envelope = _object_in(delivery)
    if envelope.get("Type") != "Notification":
        return handle_confirmation(delivery, at)
    try:
        said = read_notification(envelope)
    except Unreadable as error:
        raise inbox.Unprocessable(str(error)) from error
    return _apply(said, delivery, at)


def handle_event(delivery: Delivery, at: datetime) -> Outcome:
    """Process one EventBridge event: the inbox's handler. Raises `Unprocessable` for what staff must look at."""
    event = _object_in(delivery)
    delivery.action = kind_of_event(event)[:100]
    try:
        said = read_event(event)
    except Unreadable as error:
        raise inbox.Unprocessable(str(error)) from error
    return _apply(said, delivery, at)


def hear(said: Said, at: datetime) -> Heard:
    """Apply what was said, and what follows from it for the account. Raises `holding.Conflict`."""
    matching.lock()
    if matching.is_foreign(said.names):
        return Heard(Outcome.NO_CHANGE)
    found = matching.find(said.names, accepted_at=said.terms.accepted_at if said.word is Word.RUNS else None)
    if found.is_old:
        # The purchase goes on under other ids; what happens to the old ones is its past.
        assert found.one is not None
        found.one.ask_again(at)
        found.one.save()
        return Heard(Outcome.STALE, found.one)
    if found.is_guess and said.word in TAKES_AWAY:
        # It is about something that we don't know, perhaps another product: a row of its own, and AWS is asked about
        # what the buyer has here. If they are one, its answer says so.
        for candidate in matching.of_buyer(Names(aws_account_id=said.names.aws_account_id)):
            candidate.ask_again(at)
            candidate.save()
        return _to(Agreement(first_heard_at=at), said, at)
    row = found.one or _continued(said, at)
    if row is None and found.several and not (said.names.agreement_id or said.names.licence_id):
        # It may be any of them, and so it is none of them until AWS has said which.
        for candidate in found.several:
            candidate.heard_of(at)
            candidate.save()
        return Heard(Outcome.APPLIED)
    if row is None and not _is_named(said):
        return Heard(Outcome.NO_CHANGE)
    return _to(row or Agreement(first_heard_at=at), said, at)


def _apply(said: Said | None, delivery: Delivery, at: datetime) -> Outcome:
    if said is None:
        return Outcome.UNKNOWN
    names = said.names
    delivery.action = said.kind[:100]
    delivery.marketplace_account = (
        names.agreement_id or names.licence_id or names.customer_identifier or names.aws_account_id
    )[:60]
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


def _is_named(said: Said) -> bool:
    """Whether it is about a purchase at all, known or not."""
    names = said.names
    return bool(names.agreement_id or names.licence_id or names.customer_identifier or names.aws_account_id)


def _continued(said: Said, at: datetime) -> Agreement | None:
    """The purchase that goes on as this one: renewed, replaced, or over and bought again. Under its new ids."""
    if said.word is not Word.RUNS or not said.names.agreement_id:
        return None
    row: Agreement | None = None
    if said.previous_agreement_id:
        row = Agreement.objects.locked().filter(agreement_id=said.previous_agreement_id).first()
    elif said.continues:
        # An older copy of the event does not say what it continues: only if it can be but one.
        rows = [row for row in matching.of_buyer(matching.complete(said.names)) if not row.is_over]
        row = rows[0] if len(rows) == 1 else None
    if row is not None:
        purchases.note(row, MarketplaceEvent.AWS_RENEWED, at=at)
    else:
        row = matching.bought_again(said.names, said.terms.accepted_at or said.at)
    if row is None or (row.account and row.account.purging_at):
        return None
    row.retire_ids()
    return row


def _to(row: Agreement, said: Said, at: datetime) -> Heard:
    """Apply what was said to the one purchase that it is about."""
    matching.add_names(row, said.names)
    matching.gather(row)
    _keep_terms(row, said, at)
    changed = _WORDS[said.word](row, said, at)
    if changed is Outcome.STALE:
        row.ask_again(at)
    else:
        row.heard_of(at)
    row.save()
    purchases.bring_in_line(row, at=at)
    return Heard(changed, row)


def _keep_terms(row: Agreement, said: Said, at: datetime) -> None:
    terms = said.terms
    if row.terms_said_at and said.at < row.terms_said_at:
        return
    told = {
        "accepted_at": terms.accepted_at,
        "starts_at": terms.starts_at,
        "renews_or_ends_at": terms.ends_at,
        "on_trial": terms.on_trial,
    }
    for name, value in told.items():
        if value is not None:
            setattr(row, name, value)
    if said.names.agreement_id and any(value is not None for value in (terms.ends_at, terms.auto_renewal)):
        row.terms_said_at = said.at
    set_auto_renewal(row, terms.auto_renewal, at)


def set_auto_renewal(row: Agreement, on: bool | None, at: datetime) -> None:
    """Note whether it renews by itself; None: not told. A change of what was known is part of the history."""
    if on is None or on == row.auto_renewal:
        return
    if row.auto_renewal is not None and row.pk:
        purchases.note(row, MarketplaceEvent.AWS_RENEWAL_ON if on else MarketplaceEvent.AWS_RENEWAL_OFF, at=at)
    row.auto_renewal = on


def _runs(row: Agreement, said: Said, at: datetime) -> Outcome:
    if row.ended_at and said.at <= row.ended_at:
        return Outcome.STALE
    stays = row.unsubscribe_pending_at is not None and said.at > row.unsubscribe_pending_at
    if (row.is_over or stays) and not said.names.agreement_id:
        # Bought again, told by a message without ids: what it was under before is over.
        row.retire_ids()
        matching.add_names(row, said.names)
    if row.is_over:
        begin_again(row, said.at, at)
    elif stays:
        stay(row, at)
    if row.failed_at and said.at > row.failed_at:
        row.failed_at = None
    if row.subscribed_at and said.at <= row.subscribed_at:
        return Outcome.NO_CHANGE
    row.subscribed_at, row.absent_since = said.at, None
    return Outcome.APPLIED


def begin_again(row: Agreement, said_at: datetime, at: datetime) -> None:
    """A purchase that was over is bought again. What was said of its last end is past, unless it is of the next."""
    row.first_heard_at = at
    row.forget_subscription()
    pending = row.unsubscribe_pending_at
    row.forget_leaving()
    if pending and pending > said_at:
        row.unsubscribe_pending_at, row.final_hour_until = pending, pending + FINAL_HOUR


def stay(row: Agreement, at: datetime) -> None:
    """The buyer has subscribed again before the end: AWS will never say that it is over (facts/aws-marketplace,
    2.2).
    """
    purchases.note(row, MarketplaceEvent.AWS_STAYS, at=at)
    row.forget_leaving()


def _amended(row: Agreement, said: Said, at: datetime) -> Outcome:
    if row.ended_at and said.at <= row.ended_at:
        return Outcome.STALE
    if row.subscribed_at is None:
        # Its beginning was lost; that it can be changed says that it runs.
        row.subscribed_at = said.at
    return Outcome.APPLIED


def _failed(row: Agreement, said: Said, at: datetime) -> Outcome:
    if row.subscribed_at and said.at <= row.subscribed_at:
        return Outcome.STALE
    # Nothing is granted, and what was granted before is not taken: a new offer may have failed.
    row.failed_at = said.at
    return Outcome.APPLIED


def _leaving(row: Agreement, said: Said, at: datetime) -> Outcome:
    if row.subscribed_at and said.at < row.subscribed_at:
        return Outcome.STALE
    _open_final_hour(row, said.at)
    if row.is_over:
        return Outcome.NO_CHANGE
    if row.unsubscribe_pending_at:
        row.unsubscribe_pending_at = min(row.unsubscribe_pending_at, said.at)
        return Outcome.NO_CHANGE
    row.unsubscribe_pending_at = said.at
    row.save()
    purchases.leaving(row, at=at)
    return Outcome.APPLIED


def _ended(row: Agreement, said: Said, at: datetime) -> Outcome:
    """The agreement has ended: the new style's word for `unsubscribe-pending`. What never ran is over at once."""
    if row.subscribed_at and said.at < row.subscribed_at:
        return Outcome.STALE
    if row.account_id and (next_row := matching.continuation_of(row, said.at)):
        row.retire_ids()
        matching.absorb(row, next_row)
        row.forget_leaving()
        return Outcome.APPLIED
    if not row.runs or said.end_reason is EndReason.WITHDRAWN:
        return _over(row, said, at)
    outcome = _leaving(row, said, at)
    row.agreement_over_at, row.end_reason = row.agreement_over_at or said.at, said.end_reason
    return outcome


def _over(row: Agreement, said: Said, at: datetime) -> Outcome:
    if row.subscribed_at and said.at < row.subscribed_at:
        return Outcome.STALE
    _open_final_hour(row, said.at)
    was_over = row.is_over
    if row.ended_at is None or said.at > row.ended_at:
        row.ended_at = said.at
    if not was_over:
        # The agreement's own status, if we heard it, says more than that it was unsubscribed.
        if row.agreement_over_at is None:
            row.end_reason = said.end_reason
        row.absent_since = None
    return Outcome.NO_CHANGE if was_over else Outcome.APPLIED


def _renewed(row: Agreement, said: Said, at: datetime) -> Outcome:
    # It goes on under another agreement, which another message or AWS's answer names.
    return Outcome.NO_CHANGE


def _deprovisioned(row: Agreement, said: Said, at: datetime) -> Outcome:
    """A licence has ended. That happens to renewed agreements too, so AWS is asked what it means; the hour runs."""
    if row.subscribed_at and said.at < row.subscribed_at:
        return Outcome.STALE
    _open_final_hour(row, said.at)
    row.deprovisioned_at = said.at
    return Outcome.NO_CHANGE if row.is_over else Outcome.APPLIED


def _ask(row: Agreement, said: Said, at: datetime) -> Outcome:
    return Outcome.APPLIED


def _noted(row: Agreement, said: Said, at: datetime) -> Outcome:
    purchases.note(row, MarketplaceEvent.AWS_NOTED, at=at, about=said.kind, **said.facts)
    return Outcome.APPLIED


def _open_final_hour(row: Agreement, said_at: datetime) -> None:
    """AWS's documents disagree on which message opens it (facts/aws-marketplace, 2.4): the first one does."""
    until = said_at + FINAL_HOUR
    row.final_hour_until = min(row.final_hour_until or until, until)


_WORDS = {
    Word.RUNS: _runs,
    Word.AMENDED: _amended,
    Word.FAILED: _failed,
    Word.LEAVING: _leaving,
    Word.ENDED: _ended,
    Word.OVER: _over,
    Word.RENEWED: _renewed,
    Word.DEPROVISIONED: _deprovisioned,
    Word.ASK: _ask,
    Word.NOTED: _noted,
}
