"""What AWS's answer says of one purchase: that it runs, that it is over, that AWS knows nothing of it.

The answer is everything that AWS has of one buyer: agreements and entitlements. Which of them are of this purchase is
told by agreement, by licence, by the chain of renewals, and at last by elimination. Nothing is changed here, and
nothing is asked of the database: the caller has it all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from django.conf import settings

from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.client import Entitled, ListedAgreement
from marketplace.aws.payloads import CONTINUED, ENDED
from marketplace.aws.vocabulary import AwsEndReason


@dataclass(frozen=True)
class Answer:
    """What AWS has of one buyer. `agreements` is None if we may not ask for them, which says nothing about them."""

    agreements: list[ListedAgreement] | None
    entitlements: list[Entitled]


class Ruling(Enum):
    RUNS = auto()
    OVER = auto()
    ABSENT = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Verdict:
    """`held`: the agreement that the purchase is under, perhaps a new one; `entitlements`: those that it has now."""

    ruling: Ruling
    held: ListedAgreement | None = None
    entitlements: tuple[Entitled, ...] = ()
    end_reason: AwsEndReason = AwsEndReason.ABSENT


def judge(row: AwsAgreement, answer: Answer, at: datetime, *, beside: Iterable[AwsAgreement]) -> Verdict:
    """What the answer says of this purchase at `at`. `beside`: the other purchases of its buyer with an account."""
    others = [other for other in beside if other.pk != row.pk]
    taken = {known for other in others for known in [*other.ids(), *other.former_ids]}
    held = _held(row, answer, others, taken, at)
    mine = tuple(_entitlements(row, held, answer, taken, at))
    if held and held.status in ENDED:
        return Verdict(Ruling.OVER, held, (), ENDED[held.status])
    if mine:
        return Verdict(Ruling.RUNS, held, mine)
    if held and held.status == "ACTIVE":
        # A contract without an entitlement is one of which nothing is left, unless it is still to begin.
        begins_later = held.starts_at is not None and held.starts_at > at
        return Verdict(Ruling.RUNS if begins_later or not row.dimension_id else Ruling.ABSENT, held)
    if answer.agreements is None and not row.dimension_id:
        # Bought by use, as far as we know: without agreements nothing can be said of it.
        return Verdict(Ruling.UNKNOWN)
    return Verdict(Ruling.ABSENT, held)


def _held(
    row: AwsAgreement, answer: Answer, others: list[AwsAgreement], taken: set[str], at: datetime
) -> ListedAgreement | None:
    free = [held for held in answer.agreements or [] if held.agreement_id not in taken and _of_product(row, held)]
    free = [held for held in free if not set(held.licence_ids) & taken]
    found = next((held for held in free if held.agreement_id == row.agreement_id), None)
    if found is None and row.licence_id:
        found = next((held for held in free if row.licence_id in held.licence_ids), None)
    if found is None and row.former_ids and not row.agreement_id:
        found = _newest([held for held in free if held.agreement_id in row.former_ids])
    if found is None:
        return _by_elimination(row, free, others)
    if found.status in ENDED or found.status in CONTINUED:
        return _successor(row, found, free, at) or found
    return found


def _successor(
    row: AwsAgreement, ended: ListedAgreement, free: list[ListedAgreement], at: datetime
) -> ListedAgreement | None:
    """What the purchase goes on as: the next of its chain, or what its buyer bought after its end."""
    active = [held for held in free if held.status == "ACTIVE"]
    if chain := [held for held in active if held.initial_id == ended.initial_id]:
        return _newest(chain)
    if ended.status in CONTINUED:
        # It went on, and has ended since: that end is this purchase's.
        since = [held for held in free if held.initial_id == ended.initial_id and held.status not in CONTINUED]
        return _newest(since)
    over_at = row.leaves_at() or ended.ends_at
    if over_at is None or over_at > at:
        return None
    later = [held for held in active if held.accepted_at and held.accepted_at >= over_at]
    return later[0] if len(later) == 1 else None


def _by_elimination(
    row: AwsAgreement, free: list[ListedAgreement], others: list[AwsAgreement]
) -> ListedAgreement | None:
    """The agreement that is left for a purchase of which we know neither agreement nor licence at AWS.

    Of several that nothing tells apart, the elder goes to the purchase that we have known for longer.
    """
    if row.agreement_id:
        return None
    if len({held.product_ids for held in free}) > 1:
        # Several products, and nobody has told us which of them is sold here.
        return None
    # One that names its licences, none of them ours, is somebody else's.
    free = [held for held in free if not (row.licence_id and held.licence_ids)]
    left = sorted(
        (held for held in free if held.status == "ACTIVE"), key=lambda held: (str(held.accepted_at), held.agreement_id)
    )
    if not left:
        return free[0] if len(free) == 1 else None
    alike = [other for other in others if other.agreement_id is None and _is_alike(other, row)]
    place = sum((other.first_heard_at, other.pk) < (row.first_heard_at, row.pk) for other in alike)
    return left[place] if place < len(left) else None


def _newest(found: list[ListedAgreement]) -> ListedAgreement | None:
    return max(found, key=lambda held: (str(held.starts_at), str(held.accepted_at)), default=None)


def _entitlements(
    row: AwsAgreement, held: ListedAgreement | None, answer: Answer, taken: set[str], at: datetime
) -> "list[Entitled]":
    """Those that are valid now and are of this purchase."""
    licences = {*(held.licence_ids if held else ()), *([row.licence_id] if row.licence_id else ())}
    moved_on = held is not None and row.agreement_id not in (None, held.agreement_id)
    if moved_on and held and held.licence_ids:
        licences = set(held.licence_ids)
    valid = [
        found
        for found in answer.entitlements
        if (found.expires_at is None or found.expires_at > at)
        and (not row.product_code or found.product_code == row.product_code)
        and found.licence_id not in taken
    ]
    named = [found for found in valid if found.licence_id in licences]
    if named or (licences and not moved_on and any(found.licence_id for found in valid)):
        return named
    # Licences that nobody else has: this one's, if it is the only purchase that they can be of.
    rest = [found for found in valid if found.licence_id not in row.former_ids]
    return rest if len({found.licence_id for found in rest}) <= 1 else []


def _is_alike(other: AwsAgreement, row: AwsAgreement) -> bool:
    return (other.aws_account_id, other.product_code) == (row.aws_account_id, row.product_code)


def _of_product(row: AwsAgreement, held: ListedAgreement) -> bool:
    """Whether the agreement may be of the row's product: AWS lists those of all that we sell there."""
    if not held.product_ids:
        return True
    if row.product_id:
        return row.product_id in held.product_ids
    return not settings.AWS_PRODUCT_IDS or bool(set(settings.AWS_PRODUCT_IDS) & set(held.product_ids))
