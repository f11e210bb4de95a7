"""AWS's own answer: the `aws-check` sweep.

After each event, and again a little later, AWS is asked what the buyer holds. What it says decides, with three cares:
an answer soon after an event may be stale; that nothing is there must be heard twice, apart, before it ends anything;
and an error says nothing at all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import SETTLING_TIME
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import NotYet, attempt, overdue, run_due
from marketplace.aws import client, matching, purchases
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.assessment import Answer, Ruling, Verdict, judge
from marketplace.aws.dimension import Catalogue, Dimension
from marketplace.aws.lifecycle import News
from marketplace.aws.payloads import CONTINUED
from marketplace.aws.vocabulary import AwsEndReason, Names
from marketplace.event_kinds import MarketplaceEvent

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)


def preview(at: datetime) -> Iterator[str]:
    """Which agreements `check_due` would ask about at `at`, a line each."""
    for row in AwsAgreement.objects.due(at).iterator():
        yield f"{row.account_id} {row}: ask AWS"


def check_due(at: datetime) -> int:
    """Ask AWS about every agreement whose check is due at `at`. Returns how many answers were had."""
    close_final_hours(at)
    if not client.is_configured():
        return 0
    return run_due(AwsAgreement.objects.due, check, at=at, run=RUN)


def close_final_hours(at: datetime) -> int:
    """End what AWS said has ended, when the final hour is over and AWS can't be asked whether it is. Returns how many.

    As a rule it is asked (`apply_answer`): an event may have been about something else. Without credentials, or without
    an answer for a day, the event stands: it was AWS's word.
    """
    over = AwsAgreement.objects.unanswered if client.is_configured() else AwsAgreement.objects.final_hour_over

    def close(row: AwsAgreement, at: datetime) -> bool:
        with transaction.atomic():
            matching.lock(pk=row.pk)
            due = over(at).locked().select_related("account", "dimension")
            if (found := due.filter(pk=row.pk).first()) is None:
                return False
            found.let_go_by_its_word(at)
            found.save()
            return purchases.bring_in_line(found, at=at)

    return sum(attempt(row, close, at) is True for row in list(over(at)))


def check(row: AwsAgreement, at: datetime) -> bool:
    """Ask AWS about one purchase and apply the answer. Raises `NotYet` if there is none now."""
    try:
        answer = ask(row, at)
    except client.AwsLimited as limit:
        raise NotYet(str(limit), until=limit.until, counts=False) from limit
    except client.AwsError as error:
        raise NotYet(str(error)) from error
    return carry_out(row, answer, at)


def carry_out(row: AwsAgreement, answer: Answer, at: datetime) -> bool:
    """Apply an answer in a transaction of its own. Raises `NotYet` for what staff must sort out first."""
    try:
        with transaction.atomic():
            apply_answer(row.pk, answer, at)
    except purchases.Conflict as conflict:
        raise NotYet(str(conflict)) from conflict
    return True


def ask(row: AwsAgreement, at: datetime) -> Answer:
    """Everything that AWS has of this purchase's buyer. Raises `ApiError` if any of it could not be had."""
    codes = [row.product_code] if row.product_code else settings.AWS_PRODUCT_CODES
    entitlements = [
        found
        for code in codes
        for found in client.entitlements(
            code, aws_account_id=row.aws_account_id, customer_identifier=row.customer_identifier, at=at
        )
    ]
    buyer = row.aws_account_id or next((found.aws_account_id for found in entitlements if found.aws_account_id), "")
    try:
        agreements = client.agreements(aws_account_id=buyer, at=at) if buyer else None
    except client.AwsDenied:
        # Entitlements alone can still say that it runs; only its end needs both.
        if not entitlements:
            raise
        agreements = None
    if row.agreement_id and not any(held.agreement_id == row.agreement_id for held in agreements or []):
        # Sold by a channel partner: not ours to list, perhaps ours to see.
        held = client.agreement(row.agreement_id, at=at)
        agreements = [*(agreements or []), held] if held else agreements
    return Answer(agreements, entitlements)


def apply_answer(pk: int, answer: Answer, at: datetime) -> None:
    """Make the purchase what AWS says, unless the answer may be stale. The caller's transaction."""
    matching.lock(pk=pk)
    row = AwsAgreement.objects.locked().select_related("account", "dimension").filter(pk=pk).first()
    if row is None:
        return
    _answered(row, at)
    verdict = judge(row, answer, at, beside=beside(row))
    if verdict.ruling is Ruling.RUNS:
        _runs(row, verdict, at)
    elif verdict.ruling is Ruling.OVER:
        _over(row, verdict, at)
    elif verdict.ruling is Ruling.ABSENT:
        _absent(row, verdict, at)
    elif row.runs and row.is_over_by_its_word(at):
        # Nothing speaks for it, and nothing against it: the event stands.
        row.let_go_by_its_word(at)
    row.save()
    purchases.bring_in_line(row, at=at)


def is_as_said(row: AwsAgreement, verdict: Verdict, catalogue: Catalogue, at: datetime) -> bool:
    """Whether the row, and its subscription, say already what AWS says: that it runs, and on which terms.

    Asked before `apply_answer` by who has many to apply; when in doubt the answer is no.
    """
    held = verdict.held
    leaving = (row.absent_since, row.unsubscribe_pending_at, row.final_hour_until, row.failed_at, row.deprovisioned_at)
    if not row.runs or any(leaving) or row.agreement_over_at or row.checks_left or row.check_attempts:
        return False
    if held and (
        held.agreement_id != row.agreement_id
        or (held.licence_ids and held.licence_ids[0] != row.licence_id)
        or (held.offer_id and held.offer_id != row.offer_id)
        or (held.auto_renewal is not None and held.auto_renewal != row.auto_renewal)
        or (held.trial_ends_at is not None and held.trial_ends_at > at) != row.on_trial
    ):
        return False
    expiry = max((found.expires_at for found in verdict.entitlements if found.expires_at), default=None)
    told = {
        "accepted_at": held and held.accepted_at,
        "starts_at": held and held.starts_at,
        "renews_or_ends_at": (held and held.ends_at) or expiry,
        "trial_ends_at": held and held.trial_ends_at,
    }
    if any(value is not None and value != getattr(row, name) for name, value in told.items()):
        return False
    if verdict.entitlements and catalogue.granted(verdict.entitlements) != (row.dimension, row.seats):
        return False
    return purchases.is_in_line(row, at)


def beside(row: AwsAgreement) -> Iterable[AwsAgreement]:
    """The purchases of this one's buyer that have an account, itself among them."""
    buyer = Q(aws_account_id=row.aws_account_id) if row.aws_account_id else Q(pk=row.pk)
    if row.customer_identifier:
        buyer |= Q(customer_identifier=row.customer_identifier)
    return AwsAgreement.objects.registered().filter(buyer)


def _runs(row: AwsAgreement, verdict: Verdict, at: datetime) -> None:
    if not row.runs and (is_too_new(row.ended_at, at) or is_too_new(row.failed_at, at)):
        # It contradicts what was just said: asked again when it can no longer be a stale read.
        row.check_at = at + SETTLING_TIME
        return
    row.absent_since = None
    if verdict.held:
        _adopt(row, verdict, at)
    if not row.runs:
        if row.is_over:
            row.begin_again(at, at)
        row.subscribed_at, row.failed_at = at, None
    if row.unsubscribe_pending_at is None:
        # A licence that ended with a renewal has opened no final hour.
        row.forget_leaving()
    elif row.final_hour_until is None or at >= row.final_hour_until + SETTLING_TIME:
        # The end never came, and AWS says that it runs: the word that the buyer stays was lost.
        row.stay()
    _keep(row, verdict, at)


def _adopt(row: AwsAgreement, verdict: Verdict, at: datetime) -> None:
    """Take over the ids under which AWS has the purchase now, and what we knew under them."""
    held = verdict.held
    assert held is not None
    licence = next(iter(held.licence_ids), "")
    if row.agreement_id and row.agreement_id != held.agreement_id:
        row.retire_ids()
        if row.is_over:
            pass
        elif verdict.ruling is Ruling.RUNS and row.unsubscribe_pending_at:
            row.stay()
        else:
            row.news.append(News(MarketplaceEvent.AWS_RENEWED))
    ids = [known for known in (held.agreement_id, licence) if known]
    known_as = Q(agreement_id__in=ids) | Q(licence_id__in=ids)
    for other in AwsAgreement.objects.filter(known_as, account=None).exclude(pk=row.pk):
        matching.absorb(row, other)
    matching.add_names(
        row,
        Names(
            agreement_id=held.agreement_id,
            licence_id=licence,
            aws_account_id=held.aws_account_id,
            product_id=held.product_ids[0] if len(held.product_ids) == 1 else "",
            offer_id=held.offer_id,
        ),
    )


def _keep(row: AwsAgreement, verdict: Verdict, at: datetime) -> None:
    """Terms, plan and seats as AWS says them. What was amended a moment ago is not undone by a stale answer."""
    held, entitlements = verdict.held, verdict.entitlements
    expiry = max((found.expires_at for found in entitlements if found.expires_at), default=None)
    is_new = is_too_new(row.terms_said_at, at)
    for name, value in {
        "accepted_at": held and held.accepted_at,
        "starts_at": held and held.starts_at,
        "renews_or_ends_at": (held and held.ends_at) or expiry,
        "trial_ends_at": held and held.trial_ends_at,
    }.items():
        if value is not None and not (is_new and getattr(row, name)):
            setattr(row, name, value)
    if held and (not is_new or row.auto_renewal is None):
        row.tell_renewal(held.auto_renewal)
    if held and not is_new:
        row.on_trial = held.trial_ends_at is not None and held.trial_ends_at > at
    if entitlements:
        row.dimension, row.seats = Catalogue(at).granted(entitlements)
        licences = {found.licence_id for found in entitlements if found.licence_id}
        names = Names(
            licence_id=licences.pop() if len(licences) == 1 else "",
            aws_account_id=entitlements[0].aws_account_id,
            customer_identifier=entitlements[0].customer_identifier,
            product_code=entitlements[0].product_code,
        )
        matching.add_names(row, names)
    matching.gather(row)


def _over(row: AwsAgreement, verdict: Verdict, at: datetime) -> None:
    if is_too_new(row.subscribed_at, at) and not row.is_over:
        row.check_at = at + SETTLING_TIME
        return
    if not row.is_over and verdict.held and row.agreement_id not in (None, verdict.held.agreement_id):
        # It had gone on under another agreement, unheard, and that one has ended.
        _adopt(row, verdict, at)
    _end(row, verdict, at)


def _end(row: AwsAgreement, verdict: Verdict, at: datetime) -> None:
    if row.is_over:
        return
    if row.in_final_hour(at) and not row.deprovisioned_at:
        # Access stays for the final hour, however soon AWS's own books are closed.
        row.check_at = row.final_hour_until
        return
    ends_at = verdict.held.ends_at if verdict.held else None
    began = row.subscribed_at or row.first_heard_at
    row.let_go(verdict.end_reason, ends_at if ends_at and began <= ends_at <= at else at)


def _absent(row: AwsAgreement, verdict: Verdict, at: datetime) -> None:
    """AWS has nothing of it. Heard twice, apart, and not just after an event, that ends what we hold."""
    if not row.runs:
        return
    if is_too_new(row.subscribed_at, at):
        row.check_at = at + SETTLING_TIME
    elif row.is_over_by_its_word(at):
        # It has been heard twice already: the event said the same.
        row.let_go_by_its_word(at)
    elif row.absent_since is None:
        row.absent_since, row.check_at = at, at + SETTLING_TIME
    elif at < row.absent_since + SETTLING_TIME:
        row.check_at = row.absent_since + SETTLING_TIME
    else:
        if verdict.held and verdict.held.status in CONTINUED:
            # It has gone on as something that another account has registered.
            row.retire_ids()
        row.let_go(AwsEndReason.ABSENT, at)


def is_too_new(said_at: datetime | None, at: datetime) -> bool:
    """Whether what AWS said then, by its clock, may not have reached every answer of AWS at `at`."""
    return said_at is not None and at < said_at + SETTLING_TIME


def _answered(row: AwsAgreement, at: datetime) -> None:
    row.answered(at)
    if row.unsubscribe_pending_at and row.final_hour_until and not row.check_at:
        # Whether it has ended is known when the hour is over, whatever becomes of the message that says so.
        later = row.final_hour_until + SETTLING_TIME
        row.check_at = later if later > at else None


SWEEP = sweeps.Sweep("aws-check", run=check_due, preview=preview, late_after=timedelta(minutes=10))

_OVERDUE = overdue(AwsAgreement, "aws-check", _("AWS agreements whose state could not be confirmed for hours"))

INVARIANTS = (
    # Without credentials nothing is asked: the warning below says so.
    replace(
        _OVERDUE,
        violations=lambda at: _OVERDUE.violations(at) if client.is_configured() else AwsAgreement.objects.none(),
    ),
    invariants.Invariant(
        "aws-credentials",
        _("AWS agreements that can't be confirmed: no credentials, or no AWS_PRODUCT_CODES"),
        lambda at: AwsAgreement.objects.none() if client.is_configured() else AwsAgreement.objects.registered(),
        warning=True,
    ),
    invariants.Invariant(
        "aws-billed-though-ended",
        _("AWS goes on billing accounts whose subscription was ended here: have it cancelled at AWS"),
        lambda at: AwsAgreement.objects.billed_though_ended(at),
        warning=True,
    ),
    invariants.Invariant(
        "unmapped-dimension",
        _("dimensions of our AWS products that are held and mapped to none of our plans"),
        lambda at: Dimension.objects.filter(plan=None, agreements__isnull=False).distinct(),
        warning=True,
    ),
)
