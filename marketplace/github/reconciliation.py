"""Reconciliation with GitHub: the `github-reconcile` sweep.

GitHub never retries a delivery and has no list of those that were lost, so a complete walk of all plans and pages
finds what we missed. Nothing is changed before the walk is complete: a failed page, a 401 or an answer that makes no
sense leaves everything as it is. A customer who is missing from the list is not cancelled but asked about, twice
(`marketplace.github.checks`); and a breaker stops a run that would miss too many at once.

What fails for one customer is noted on that customer, and the others go on. So does a plan of which GitHub says that
there is none: its customers are asked about one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from accounts.checks import breaker
from accounts.checks.schedule import ask_once
from accounts.core import clock
from accounts.core.errors import describe
from accounts.jobs import sweeps
from accounts.jobs.due_work import attempt
from accounts.jobs.queues import Queue
from marketplace import tombstone
from marketplace.github import client
from marketplace.github.checks import apply_answer
from marketplace.github.customer import GitHubCustomer, GitHubCustomerQuerySet
from marketplace.github.listing import learn
from marketplace.github.payloads import UnreadablePayload, read_plan, read_subscription
from marketplace.tombstone import Marketplace

#: Reading GitHub's lists and carrying out what they say take no longer than this together. What is left over is asked
#: about one by one.
RUN = timedelta(minutes=15)


class NotTakenOver(Exception):
    """Purchases of buyers whom we don't know yet could not be written down: there is no row to note it on."""


@dataclass
class ListWalk:
    """Everything that GitHub lists: by buyer, and the plans of which it says that there are none."""

    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    unknown_plans: set[int] = field(default_factory=set)


def preview(at: datetime) -> Iterator[str]:
    """What `reconcile` would find at `at`: asks GitHub, changes nothing."""
    if not client.is_configured():
        return
    found = walk(at)
    for customer in missing(found).order_by("github_id"):
        yield f"{customer.account_id} {customer}: missing from GitHub's list"
    for customer in unlisted(found).order_by("github_id"):
        yield f"{customer.account_id} {customer}: on a plan that GitHub does not know, asked about by itself"


def reconcile(at: datetime) -> int:
    """Compare every customer with GitHub's list. Returns how many entries it had. Raises, with nothing changed, when
    the list could not be read whole, and `BreakerOpen` when too many customers are missing from it; and `NotTakenOver`
    in the end, with everything else done.
    """
    if not client.is_configured():
        return 0
    stop = clock.now() + RUN
    found = walk(at, stop=stop)
    absent = missing(found)
    breaker.stop_if_too_many(absent.count(), of=GitHubCustomer.objects.active().count(), whose="GitHub")
    failures = _apply(found.answers, at, stop)
    # Asked about one by one from now on: the list alone ends nothing.
    ask_once(absent, at)
    ask_once(unlisted(found), at)
    if not found.unknown_plans:
        tombstone.lift_unnamed(Marketplace.GITHUB, found.answers, named_before=at)
    if failures:
        raise NotTakenOver(f"{len(failures)} purchases of unknown buyers: {failures[0]}")
    return len(found.answers)


def _apply(answers: dict[int, dict[str, Any]], at: datetime, stop: datetime) -> list[str]:
    """Apply each answer by itself; what fails is noted on its customer. Returns what failed for unknown buyers."""
    failures = []
    known = {customer.github_id: customer for customer in GitHubCustomer.objects.filter(github_id__in=list(answers))}
    left = dict(answers)
    for github_id, answer in answers.items():
        if clock.now() >= stop:
            break
        del left[github_id]
        if customer := known.get(github_id):
            attempt(customer, partial(_apply_one, answer), at)
            continue
        try:
            with transaction.atomic():
                apply_answer(github_id, answer, at)
        except Exception as error:
            # As for the others: one of them holds up none.
            failures.append(describe(error))
    ask_once(GitHubCustomer.objects.filter(github_id__in=list(left)), at)
    return failures


def _apply_one(answer: dict[str, Any], customer: GitHubCustomer, at: datetime) -> bool:
    with transaction.atomic():
        apply_answer(customer.github_id, answer, at)
    return True


def walk(at: datetime, *, stop: datetime | None = None) -> ListWalk:
    """All accounts of all plans. Raises `ApiError` if any of it could not be read, by `stop`."""
    found = ListWalk()
    try:
        plans = {read_plan(plan).id: read_plan(plan) for plan in client.all_plans(at=at)}
        # Customers keep a plan that was removed from the listing until they leave (facts/github-marketplace, 3.3).
        removed = GitHubCustomer.objects.active().exclude(listing_plan__in=list(plans))
        for plan_id in [*plans, *removed.values_list("listing_plan_id", flat=True).distinct()]:
            if stop and clock.now() >= stop:
                raise client.GitHubUnavailable("the lists are longer than a run is")
            try:
                for answer in client.accounts_of_plan(plan_id, at=at):
                    found.answers[read_subscription(answer)[0].buyer.id] = answer
            except client.NotFound:
                found.unknown_plans.add(plan_id)
    except UnreadablePayload as error:
        raise client.GitHubUnavailable(f"the list makes no sense: {error}") from error
    if plans and found.unknown_plans.issuperset(plans):
        raise client.GitHubUnavailable("GitHub lists plans, and says of each that there is none")
    for plan in plans.values():
        learn(plan)
    return found


def missing(found: ListWalk) -> GitHubCustomerQuerySet:
    """The customers of ours that the list does not name, though it should."""
    return _unnamed(found).exclude(listing_plan__in=found.unknown_plans)


def unlisted(found: ListWalk) -> GitHubCustomerQuerySet:
    """The customers of ours whom it can't name: they are on a plan that GitHub says it does not have."""
    return _unnamed(found).filter(listing_plan__in=found.unknown_plans)


def _unnamed(found: ListWalk) -> GitHubCustomerQuerySet:
    return GitHubCustomer.objects.active().exclude(github_id__in=list(found.answers))


SWEEP = sweeps.Sweep(
    "github-reconcile", run=reconcile, preview=preview, late_after=timedelta(hours=26), queue=Queue.SLOW, alone=True
)
