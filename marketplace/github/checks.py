"""GitHub's own answer: the `github-check` sweep.

After each event, and again a little later, GitHub is asked what the customer holds. What it says decides, with two
cares: an answer soon after an event may be stale, and "has not purchased" must be heard twice, apart, before it ends
anything (facts/github-marketplace, 2.4 and 5). A cancellation that was in doubt needs one such answer only: the message
was the other.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import SETTLING_TIME
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import NotYet, overdue, run_due
from marketplace import tombstone
from marketplace.github import authorisation, client
from marketplace.github.customer import GitHubCustomer
from marketplace.github.listing import ListingPlan
from marketplace.github.messages import end_doubt
from marketplace.github.payloads import read_subscription
from marketplace.github.purchases import hold, let_go, lock_customer
from marketplace.offboarding.offboarding import Offboarding, OffboardingCause
from marketplace.tombstone import Marketplace

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: So long before its deadline a purge waits for no answer any more.
LAST_CALL = timedelta(hours=2)


def purchase_to_be_confirmed(account_id: uuid.UUID, at: datetime) -> str | None:
    """A purge waits for GitHub's answer about somebody who may have bought again; not beyond its deadline."""
    customer = GitHubCustomer.objects.filter(account_id=account_id, cancelled_at__isnull=False).first()
    if customer is None or not customer.says_to_be_back():
        return None
    in_time = Offboarding.objects.open().of(account_id).filter(deadline_at__gt=at + LAST_CALL)
    return gettext("GitHub's answer: the customer may have bought again") if in_time.exists() else None


def preview(at: datetime) -> Iterator[str]:
    """Which customers `check_due` would ask about at `at`, a line each."""
    for customer in GitHubCustomer.objects.due(at).iterator():
        yield f"{customer.account_id} {customer}: ask GitHub"


def check_due(at: datetime) -> int:
    """Ask GitHub about every customer whose check is due at `at`. Returns how many answers were had."""
    if not client.is_configured():
        return run_due(GitHubCustomer.objects.doubt_over, believe, at=at, run=RUN)
    authorisation.ask_about_revoked(at)
    return run_due(GitHubCustomer.objects.due, check, at=at, run=RUN)


def check(customer: GitHubCustomer, at: datetime) -> bool:
    """Ask GitHub about one customer and apply the answer. Raises `NotYet` if there is none now."""
    try:
        answer = client.get_account(customer.github_id, at=at)
    except client.GitHubError as error:
        believe(customer, at)
        if not isinstance(error, client.GitHubLimited):
            raise NotYet(str(error)) from error
        limit = error
        raise NotYet(str(limit), until=limit.until, counts=False) from limit
    with transaction.atomic():
        apply_answer(customer.github_id, answer, at)
    return True


def believe(customer: GitHubCustomer, at: datetime) -> bool:
    """GitHub can't be asked: a cancellation in doubt counts from its date on all the same. Whether it does now.

    Deactivating can be undone; somebody who has left must not go on for as long as GitHub is silent.
    """
    with transaction.atomic():
        found = lock_customer(customer.github_id)
        if found is None or found.doubt_until is None or found.doubt_until > at:
            return False
        end_doubt(found, at)
    return True


def apply_answer(github_id: int, answer: dict[str, Any] | None, at: datetime) -> None:
    """Make the customer what GitHub says, unless the answer may be stale. The caller's transaction."""
    customer = lock_customer(github_id)
    if customer is None:
        if answer is not None and not tombstone.named(Marketplace.GITHUB, github_id, at):
            purchase, pending = read_subscription(answer)
            hold(purchase, None, pending=pending, heard=False, at=at)
        return
    customer.answered(at)
    if customer.cancelled_at is None and customer.account.purging_at:
        # Erased though GitHub goes on with the purchase: somebody decided so.
        customer.save()
        return
    if answer is None:
        _absent(customer, at)
        _look_again(customer, at)
        return
    purchase, pending = read_subscription(answer)
    if customer.may_be_stale(at) and (customer.cancelled_at or not customer.says_the_same(purchase)):
        # It contradicts what was just delivered: asked again when it can no longer be a stale read.
        customer.check_at = customer.check_at or at + SETTLING_TIME
        customer.save()
        return
    _look_again(hold(purchase, customer, pending=pending, heard=False, at=at), at)


def _look_again(customer: GitHubCustomer, at: datetime) -> None:
    """While a cancellation is in doubt, ask again no later than when it counts."""
    if customer.doubt_until and not (customer.check_at and customer.check_at <= customer.doubt_until):
        customer.check_at = max(customer.doubt_until, at)
        customer.save(update_fields=["check_at"])


def _absent(customer: GitHubCustomer, at: datetime) -> None:
    """GitHub says "has not purchased". Heard twice, apart, and not just after an event, that ends what we hold."""
    if customer.cancelled_at:
        customer.save()
    elif customer.doubt:
        end_doubt(customer, at)
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
        let_go(customer, cause=OffboardingCause.ABSENT, received_at=at, at=at)


SWEEP = sweeps.Sweep("github-check", run=check_due, preview=preview, late_after=timedelta(minutes=10))

_OVERDUE = overdue(GitHubCustomer, "github-check", _("GitHub customers whose state could not be confirmed for hours"))

INVARIANTS = (
    # Without credentials nothing is asked: the warning below says so.
    replace(
        _OVERDUE,
        violations=lambda at: _OVERDUE.violations(at) if client.is_configured() else GitHubCustomer.objects.none(),
    ),
    invariants.Invariant(
        "github-credentials",
        _("GitHub customers whose purchases can't be confirmed: no GITHUB_APP_ID or GITHUB_CLIENT_ID"),
        lambda at: GitHubCustomer.objects.none() if client.is_configured() else GitHubCustomer.objects.all(),
        warning=True,
    ),
    invariants.Invariant(
        "double-purchase",
        _("GitHub customers whose account another subscription holds: report the double purchase to GitHub"),
        lambda at: GitHubCustomer.objects.exclude(conflict_since=None),
        warning=True,
    ),
    invariants.Invariant(
        "billed-though-ended",
        _("GitHub customers whom GitHub goes on billing, though their subscription was ended here"),
        lambda at: GitHubCustomer.objects.billed_though_ended(at),
        warning=True,
    ),
    invariants.Invariant(
        "unmapped-plan",
        _("plans of the GitHub listing that have customers and are mapped to none of our plans"),
        lambda at: ListingPlan.objects.filter(
            plan=None, customers__cancelled_at=None, customers__isnull=False
        ).distinct(),
        warning=True,
    ),
)
