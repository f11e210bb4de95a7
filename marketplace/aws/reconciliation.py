"""Reconciliation with AWS: the `aws-reconcile` sweep.

SNS gives up within the hour, and EventBridge within the day (reference, 2.10), so a walk over everything that AWS has
of our products finds what we missed. Nothing is changed before the walk is complete. A purchase that AWS's lists say
is over or don't show is not ended but asked about by itself (`marketplace.aws.checks`); and a breaker stops a run that
would ask about too many at once. It also forgets registrations that nobody finished.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts.checks import breaker
from accounts.checks.schedule import ask_once
from accounts.jobs import sweeps
from marketplace.aws import client, purchases, registration
from marketplace.aws.agreement import Agreement
from marketplace.aws.assessment import Answer, Ruling, judge
from marketplace.aws.checks import apply_answer


def register() -> None:
    """Register the sweep. Called once, by `MarketplaceConfig.ready`."""
    sweeps.register(sweeps.Sweep("aws-reconcile", run=reconcile, preview=preview, late_after=timedelta(hours=26)))


def preview(at: datetime) -> Iterator[str]:
    """What `reconcile` would find at `at`: asks AWS, changes nothing."""
    if not client.is_configured():
        return
    whole = walk(at)
    for row in Agreement.objects.registered().select_related("dimension").order_by("pk"):
        ruling = judge(row, of_buyer(row, whole), at).ruling
        if row.runs and ruling in (Ruling.OVER, Ruling.ABSENT):
            yield f"{row.account_id} {row}: to be asked about, AWS's lists say {ruling.name.lower()}"
        elif not row.runs and ruling is Ruling.RUNS:
            yield f"{row.account_id} {row}: runs at AWS"


def reconcile(at: datetime) -> int:
    """Compare every registered purchase with AWS's lists. Returns how many there were. Raises, with nothing changed,
    when the lists could not be read whole, and `BreakerOpen` when too many purchases are missing from them.
    """
    registration.forget_unfinished(at)
    if not client.is_configured():
        return 0
    whole = walk(at)
    rows = list(Agreement.objects.registered().select_related("dimension").order_by("pk"))
    rulings = {row.pk: judge(row, of_buyer(row, whole), at).ruling for row in rows}
    gone = [row for row in rows if row.runs and rulings[row.pk] in (Ruling.OVER, Ruling.ABSENT)]
    # Bought by use through a channel partner: in none of our lists, and no sign of anything.
    missing = [row for row in gone if row.dimension_id or not row.agreement_id or rulings[row.pk] is Ruling.OVER]
    breaker.stop_if_too_many(len(missing), of=sum(row.runs for row in rows), whose="AWS")
    for row in rows:
        if rulings[row.pk] is Ruling.RUNS:
            _apply(row, whole, at)
    # Asked about one by one from now on: the lists alone end nothing.
    ask_once(Agreement.objects.filter(pk__in=[row.pk for row in gone]), at)
    return len(rows)


def walk(at: datetime) -> Answer:
    """Everything that AWS has of our products. Raises `ApiError` if any of it could not be read."""
    entitlements = [found for code in settings.AWS_PRODUCT_CODES for found in client.entitlements(code, at=at)]
    try:
        return Answer(client.agreements(at=at), entitlements)
    except client.Denied:
        # A role that may only see entitlements sees contracts, and nothing of what is bought by use.
        if not entitlements:
            raise
        return Answer(None, entitlements)


def of_buyer(row: Agreement, whole: Answer) -> Answer:
    """The part of AWS's lists that is about the buyer of this purchase."""
    entitlements = [
        found
        for found in whole.entitlements
        if (row.aws_account_id and found.aws_account_id == row.aws_account_id)
        or (row.customer_identifier and found.customer_identifier == row.customer_identifier)
    ]
    if whole.agreements is None:
        return Answer(None, entitlements)
    return Answer([held for held in whole.agreements if held.aws_account_id == row.aws_account_id], entitlements)


def _apply(row: Agreement, whole: Answer, at: datetime) -> None:
    try:
        with transaction.atomic():
            apply_answer(row.pk, of_buyer(row, whole), at)
    except purchases.Conflict as conflict:
        Agreement.objects.filter(pk=row.pk).update(check_error=str(conflict)[:2000])
