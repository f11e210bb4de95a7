"""Which purchase a message is about: one that is known, one that goes on as this one, a new one, or none.

All that looks at other rows to find that out is here (and in `marketplace.aws.matching`). What the message says is then
applied to the one row (`marketplace.aws.lifecycle`), and its account is brought in line (`marketplace.aws.purchases`).
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.inbox.delivery import DeliveryOutcome
from marketplace import tombstone
from marketplace.aws import matching
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.lifecycle import News
from marketplace.aws.vocabulary import TAKES_AWAY, Names, Said, Word
from marketplace.event_kinds import MarketplaceEvent
from marketplace.tombstone import Marketplace


@dataclass(frozen=True)
class Identified:
    """The row, saved or new. With an `outcome` there is nothing more to be applied to it."""

    row: AwsAgreement | None = None
    outcome: DeliveryOutcome | None = None


def identify(said: Said, at: datetime) -> Identified:
    """The purchase that was spoken of, with every name that was told. The caller holds `matching.lock`, and saves."""
    if matching.is_foreign(said.names):
        return Identified(outcome=DeliveryOutcome.NO_CHANGE)
    if _was_erased(said, at):
        return Identified(outcome=DeliveryOutcome.NO_CHANGE)
    found = matching.find(said.names, accepted_at=said.terms.accepted_at if said.word is Word.RUNS else None)
    if found.is_old:
        # The purchase goes on under other ids; what happens to the old ones is its past.
        return Identified(found.one, DeliveryOutcome.STALE)
    if found.is_guess and said.word in TAKES_AWAY:
        # It is about something that we don't know, perhaps another product: a row of its own, and AWS is asked about
        # what the buyer has here. If they are one, its answer says so.
        for candidate in matching.of_buyer(Names(aws_account_id=said.names.aws_account_id)):
            candidate.ask(at)
            candidate.save()
        return Identified(_named(AwsAgreement(first_heard_at=at), said))
    row = found.one or _continued(said)
    if row is None and found.several and not (said.names.agreement_id or said.names.licence_id):
        # It may be any of them, and so it is none of them until AWS has said which.
        for candidate in found.several:
            candidate.heard_of(at)
            candidate.save()
        return Identified(outcome=DeliveryOutcome.APPLIED)
    if row is None and not said.names.of_buyer():
        return Identified(outcome=DeliveryOutcome.NO_CHANGE)
    row = _named(row or AwsAgreement(first_heard_at=at), said)
    if said.word is Word.ENDED and _goes_on(row, said):
        return Identified(row, DeliveryOutcome.APPLIED)
    return Identified(row)


def _was_erased(said: Said, at: datetime) -> bool:
    """Whether it is about a purchase whose account was erased while AWS went on: a task for staff, and nobody's row."""
    names, over = said.names, said.word in (Word.ENDED, Word.OVER)
    for known in (names.agreement_id, names.licence_id):
        if known and tombstone.named(Marketplace.AWS, known, at):
            if over:
                tombstone.said_to_be_over(Marketplace.AWS, known)
            return True
    if said.previous_agreement_id and (before := tombstone.named(Marketplace.AWS, said.previous_agreement_id, at)):
        # Renewed or replaced: what was erased goes on under another agreement.
        tombstone.leave(Marketplace.AWS, names.agreement_id, account_id=before.account_id, at=at)
        tombstone.named(Marketplace.AWS, names.agreement_id, at)
        before.delete()
        return True
    return False


def _continued(said: Said) -> AwsAgreement | None:
    """The purchase that goes on as this one: renewed, replaced, or over and bought again. Under its new ids."""
    if said.word is not Word.RUNS or not said.names.agreement_id:
        return None
    row: AwsAgreement | None = None
    if said.previous_agreement_id:
        row = AwsAgreement.objects.locked().filter(agreement_id=said.previous_agreement_id).first()
    elif said.continues:
        # An older copy of the event does not say what it continues: only if it can be but one.
        rows = [row for row in matching.of_buyer(matching.complete(said.names)) if not row.is_over]
        row = rows[0] if len(rows) == 1 else None
    if row is not None:
        row.news.append(News(MarketplaceEvent.AWS_RENEWED))
    else:
        row = matching.bought_again(said.names, said.terms.accepted_at or said.at)
    if row is None or (row.account and row.account.purging_at):
        return None
    row.retire_ids()
    return row


def _named(row: AwsAgreement, said: Said) -> AwsAgreement:
    """The row with the names that were told, and with what was heard under them before."""
    if said.word is Word.RUNS and not said.names.agreement_id and _is_another(row, said):
        # Bought again, told by a message without ids: what it was under before is over.
        row.retire_ids()
    matching.add_names(row, said.names)
    matching.gather(row)
    return row


def _is_another(row: AwsAgreement, said: Said) -> bool:
    """Whether the word that it runs is of a purchase after the one that the row's ids are of."""
    return not row.is_before_its_end(said) and (row.is_over or row.stays_by(said))


def _goes_on(row: AwsAgreement, said: Said) -> bool:
    """Whether its buyer bought again after this end: then that is what the row is from now on."""
    if row.account_id is None or row.is_before_its_start(said):
        return False
    following = matching.continuation_of(row, said.at)
    if following is None:
        return False
    row.retire_ids()
    matching.absorb(row, following)
    row.forget_leaving()
    return True
