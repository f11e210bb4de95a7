"""Reconciliation with AWS: the `aws-reconcile` sweep.

SNS gives up within the hour, and EventBridge within the day (facts/aws-marketplace, 2.10), so a walk over everything
that AWS has of our products finds what we missed. Nothing is changed before the walk is complete. A purchase that AWS's
lists say is over or don't show is not ended but asked about by itself (`marketplace.aws.checks`); and a breaker stops a
run that would ask about too many at once. It also forgets registrations that nobody finished.

Lists and purchases are read once and put in order by their buyers. A purchase of which AWS says what we have costs no
statement of its own; what fails for one is noted on it, and the others go on.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.conf import settings

from accounts.checks import breaker
from accounts.checks.schedule import ask_once
from accounts.core import clock
from accounts.jobs import sweeps
from accounts.jobs.due_work import attempt
from accounts.jobs.queues import Queue
from marketplace import tombstone
from marketplace.aws import checks, client, registration
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.assessment import Answer, Ruling, Verdict, judge
from marketplace.aws.client import Entitled, ListedAgreement
from marketplace.aws.dimension import Catalogue
from marketplace.tombstone import Marketplace

#: Reading AWS's lists and carrying out what they say take no longer than this together. What is left over is asked
#: about one by one.
RUN = timedelta(minutes=15)

_Item = TypeVar("_Item")


def preview(at: datetime) -> Iterator[str]:
    """What `reconcile` would find at `at`: asks AWS, changes nothing."""
    if not client.is_configured():
        return
    for row, _answer, verdict in _compared(walk(at), at):
        if row.runs and verdict.ruling in (Ruling.OVER, Ruling.ABSENT):
            yield f"{row.account_id} {row}: to be asked about, AWS's lists say {verdict.ruling.name.lower()}"
        elif not row.runs and verdict.ruling is Ruling.RUNS:
            yield f"{row.account_id} {row}: runs at AWS"


def reconcile(at: datetime) -> int:
    """Compare every registered purchase with AWS's lists. Returns how many there were. Raises, with nothing changed,
    when the lists could not be read whole, and `BreakerOpen` when too many purchases are missing from them.
    """
    registration.forget_unfinished(at)
    if not client.is_configured():
        return 0
    stop = clock.now() + RUN
    lists = walk(at, stop=stop)
    _look_for_the_erased(lists, at)
    compared = list(_compared(lists, at))
    gone = [
        (row, verdict)
        for row, _answer, verdict in compared
        if row.runs and verdict.ruling in (Ruling.OVER, Ruling.ABSENT)
    ]
    # Bought by use through a channel partner: in none of our lists, and no sign of anything.
    missing = [1 for row, verdict in gone if row.dimension_id or not row.agreement_id or verdict.ruling is Ruling.OVER]
    breaker.stop_if_too_many(len(missing), of=sum(row.runs for row, _answer, _verdict in compared), whose="AWS")
    _apply([found for found in compared if found[2].ruling is Ruling.RUNS], at, stop)
    # Asked about one by one from now on: the lists alone end nothing.
    _ask_about([row for row, _verdict in gone], at)
    return len(compared)


@dataclass(frozen=True)
class Lists:
    """Everything that AWS has of our products, by its buyers. `agreements` is None if we may not ask for them."""

    agreements: dict[str, list[ListedAgreement]] | None
    by_account: dict[str, list[Entitled]]
    by_identifier: dict[str, list[Entitled]]

    def of_buyer(self, row: AwsAgreement) -> Answer:
        """The part that is about the buyer of this purchase."""
        entitlements = list(self.by_account.get(row.aws_account_id, ()))
        known_as = row.customer_identifier
        entitlements += [each for each in self.by_identifier.get(known_as, ()) if each not in entitlements]
        return Answer(
            None if self.agreements is None else self.agreements.get(row.aws_account_id, []),
            entitlements,
        )


def walk(at: datetime, *, stop: datetime | None = None) -> Lists:
    """Everything that AWS has of our products. Raises `ApiError` if it was not all read, by `stop`."""
    entitlements = [
        found for code in settings.AWS_PRODUCT_CODES for found in client.entitlements(code, at=at, stop=stop)
    ]
    agreements: list[ListedAgreement] | None
    try:
        agreements = client.agreements(at=at, stop=stop)
    except client.AwsDenied:
        # A role that may only see entitlements sees contracts, and nothing of what is bought by use.
        if not entitlements:
            raise
        agreements = None
    return Lists(
        None if agreements is None else _by("aws_account_id", agreements),
        _by("aws_account_id", entitlements),
        _by("customer_identifier", entitlements),
    )


def _look_for_the_erased(lists: Lists, at: datetime) -> None:
    """Tell staff what AWS goes on with though its account was erased, and forget what it has ended since."""
    if lists.agreements is None:
        return
    held = [held for found in lists.agreements.values() for held in found if held.status == "ACTIVE"]
    numbers = [number for each in held for number in (each.agreement_id, *each.licence_ids)]
    tombstone.named_among(Marketplace.AWS, numbers, at)
    tombstone.lift_unnamed(Marketplace.AWS, numbers, named_before=at)


def _by(name: str, items: Iterable[_Item]) -> dict[str, list[_Item]]:
    """The items by the value of this field, without those where it is empty."""
    found: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if value := getattr(item, name):
            found[value].append(item)
    return dict(found)


def _compared(lists: Lists, at: datetime) -> Iterator[tuple[AwsAgreement, Answer, Verdict]]:
    """Every registered purchase, the part of AWS's lists about its buyer, and what it says of the purchase."""
    rows = list(AwsAgreement.objects.registered().select_related("dimension", "subscription").order_by("pk"))
    by_account, by_identifier = _by("aws_account_id", rows), _by("customer_identifier", rows)
    for row in rows:
        beside = {
            other.pk: other
            for other in [*by_account.get(row.aws_account_id, ()), *by_identifier.get(row.customer_identifier, ())]
        }
        answer = lists.of_buyer(row)
        yield row, answer, judge(row, answer, at, beside=beside.values())


def _apply(runs: "list[tuple[AwsAgreement, Answer, Verdict]]", at: datetime, stop: datetime) -> None:
    """Carry out what the lists say of those that run, and note that the others are as we have them."""
    catalogue = Catalogue(at)
    as_said: list[int] = []
    late: list[AwsAgreement] = []
    for row, answer, verdict in runs:
        if checks.is_as_said(row, verdict, catalogue, at):
            as_said.append(row.pk)
        elif clock.now() >= stop:
            late.append(row)
        else:
            # What is raised stands on the row: it is asked about by itself from now on.
            attempt(row, partial(_carry_out, answer), at)
    AwsAgreement.objects.filter(pk__in=as_said).update(checked_at=at, check_attempts=0, check_error="")
    _ask_about(late, at)


def _carry_out(answer: Answer, row: AwsAgreement, at: datetime) -> bool:
    return checks.carry_out(row, answer, at)


def _ask_about(rows: Iterable[AwsAgreement], at: datetime) -> None:
    ask_once(AwsAgreement.objects.filter(pk__in=[row.pk for row in rows]), at)


SWEEP = sweeps.Sweep(
    "aws-reconcile", run=reconcile, preview=preview, late_after=timedelta(hours=26), queue=Queue.SLOW, alone=True
)
