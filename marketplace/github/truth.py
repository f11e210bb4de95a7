"""GitHub's own answer: the `github-check` sweep.

After each event, and again a little later, GitHub is asked what the customer holds. What it says decides, with two
cares: an answer soon after an event may be stale, and "has not purchased" must be heard twice, apart, before it ends
anything (reference, 2.4 and 5).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import clock, invariants, sweeps
from marketplace.github import api
from marketplace.github.applying import hold, let_go, lock_customer
from marketplace.github.customer import SETTLING_TIME, Customer
from marketplace.github.listing import ListingPlan
from marketplace.github.reading import Unreadable, read_subscription
from marketplace.offboarding import Cause

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: For so long a claimed check is left to the worker that claimed it: longer than a call may take.
LEASE = timedelta(minutes=2)
#: A check that is overdue for so long is shown to staff.
OVERDUE = timedelta(hours=2)


def register() -> None:
    """Register the sweep and its invariants. Called once, by `MarketplaceConfig.ready`."""
    sweeps.register(sweeps.Sweep("github-check", run=check_due, preview=preview, late_after=timedelta(minutes=10)))
    invariants.register(
        invariants.Invariant(
            "github-check",
            _("GitHub customers whose state could not be confirmed for hours"),
            lambda at: Customer.objects.filter(check_attempts__gt=0, check_at__lt=at + LONGEST_WAIT).exclude(
                checked_at__gt=at - OVERDUE
            ),
        )
    )
    invariants.register(
        invariants.Invariant(
            "github-credentials",
            _("GitHub customers whose purchases can't be confirmed: no GITHUB_APP_ID or GITHUB_CLIENT_ID"),
            lambda at: Customer.objects.none() if api.is_configured() else Customer.objects.all(),
            warning=True,
        )
    )
    invariants.register(
        invariants.Invariant(
            "unmapped-plan",
            _("plans of the GitHub listing that have customers and are mapped to none of our plans"),
            lambda at: ListingPlan.objects.filter(
                plan=None, customers__cancelled_at=None, customers__isnull=False
            ).distinct(),
            warning=True,
        )
    )


def preview(at: datetime) -> Iterator[str]:
    """Which customers `check_due` would ask about at `at`, a line each."""
    for customer in Customer.objects.check_due(at).iterator():
        yield f"{customer.account_id} {customer}: ask GitHub"


def check_due(at: datetime) -> int:
    """Ask GitHub about every customer whose check is due at `at`. Returns how many answers were had."""
    if not api.is_configured():
        return 0
    answered = 0
    stop = clock.now() + RUN
    while clock.now() < stop and (customer := _claim(at)):
        try:
            answered += check(customer, at)
        except api.Limited as limit:
            Customer.objects.filter(pk=customer.pk).update(check_at=limit.until)
            break
    return answered


def check(customer: Customer, at: datetime) -> bool:
    """Ask GitHub about one customer and apply the answer. Returns whether there was one. Raises `Limited`."""
    try:
        answer = api.get_account(customer.github_id, at=at)
        with transaction.atomic():
            apply_answer(customer.github_id, answer, at)
    except api.Limited:
        raise
    except (api.ApiError, Unreadable) as error:
        wait = min(FIRST_WAIT * 2 ** min(customer.check_attempts, 20), LONGEST_WAIT)
        Customer.objects.filter(pk=customer.pk).update(
            check_at=at + wait, check_attempts=customer.check_attempts + 1, check_error=str(error)[:2000]
        )
        return False
    return True


def apply_answer(github_id: int, answer: dict[str, Any] | None, at: datetime) -> None:
    """Make the customer what GitHub says, unless the answer may be stale. The caller's transaction."""
    customer = lock_customer(github_id)
    if customer is None:
        if answer is not None:
            purchase, pending = read_subscription(answer)
            hold(purchase, None, pending=pending, heard=False, at=at)
        return
    customer.checked_at, customer.check_attempts, customer.check_error = at, 0, ""
    _schedule_next(customer, at)
    if answer is None:
        _absent(customer, at)
        return
    purchase, pending = read_subscription(answer)
    if customer.may_be_stale(at) and (customer.cancelled_at or purchase.plan.id != customer.listing_plan_id):
        # It contradicts what was just delivered: asked again when it can no longer be a stale read.
        customer.save()
        return
    hold(purchase, customer, pending=pending, heard=False, at=at)


def _absent(customer: Customer, at: datetime) -> None:
    """GitHub says "has not purchased". Heard twice, apart, and not just after an event, that ends what we hold."""
    if customer.cancelled_at:
        customer.save()
    elif customer.may_be_stale(at):
        customer.check_at = at + SETTLING_TIME
        customer.save()
    elif customer.absent_since is None:
        customer.absent_since, customer.check_at = at, at + SETTLING_TIME
        customer.save()
    elif at < customer.absent_since + SETTLING_TIME:
        customer.check_at = customer.absent_since + SETTLING_TIME
        customer.save()
    else:
        let_go(customer, cause=Cause.ABSENT, received_at=at, at=at)


def _schedule_next(customer: Customer, at: datetime) -> None:
    customer.checks_left = max(0, customer.checks_left - 1)
    customer.check_at = at + SETTLING_TIME if customer.checks_left else None


def _claim(at: datetime) -> Customer | None:
    """The next customer to ask about, left alone by other workers for as long as a call may take."""
    with transaction.atomic():
        customer = Customer.objects.check_due(at).select_for_update(skip_locked=True, no_key=True).first()
        if customer:
            Customer.objects.filter(pk=customer.pk).update(check_at=at + LEASE)
    return customer
