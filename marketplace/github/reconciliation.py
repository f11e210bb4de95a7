"""Reconciliation with GitHub: the `github-reconcile` sweep.

GitHub never retries a delivery and has no list of those that were lost, so a complete walk of all plans and pages
finds what we missed. Nothing is changed before the walk is complete: a failed page, a 401 or an answer that makes no
sense leaves everything as it is. A customer who is missing from the list is not cancelled but asked about, twice
(`marketplace.github.checks`); and a breaker stops a run that would miss too many at once.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.checks import breaker
from accounts.checks.schedule import ask_once
from accounts.jobs import sweeps
from marketplace.github import client
from marketplace.github.checks import apply_answer
from marketplace.github.customer import Customer, CustomerQuerySet
from marketplace.github.listing import learn
from marketplace.github.payloads import Unreadable, read_plan, read_subscription


def preview(at: datetime) -> Iterator[str]:
    """What `reconcile` would find at `at`: asks GitHub, changes nothing."""
    if not client.is_configured():
        return
    answers = walk(at)
    for customer in missing(answers).order_by("github_id"):
        yield f"{customer.account_id} {customer}: missing from GitHub's list"


def reconcile(at: datetime) -> int:
    """Compare every customer with GitHub's list. Returns how many entries it had. Raises, with nothing changed, when
    the list could not be read whole, and `BreakerOpen` when too many customers are missing from it.
    """
    if not client.is_configured():
        return 0
    answers = walk(at)
    absent = missing(answers)
    breaker.stop_if_too_many(absent.count(), of=Customer.objects.active().count(), whose="GitHub")
    for github_id, answer in answers.items():
        with transaction.atomic():
            apply_answer(github_id, answer, at)
    # Asked about one by one from now on: the list alone ends nothing.
    ask_once(absent, at)
    return len(answers)


def walk(at: datetime) -> dict[int, dict[str, Any]]:
    """All accounts of all plans, by GitHub's id. Raises `ApiError` if any of it could not be read."""
    answers: dict[int, dict[str, Any]] = {}
    try:
        plans = {read_plan(plan).id: read_plan(plan) for plan in client.all_plans(at=at)}
        # Customers keep a plan that was removed from the listing until they leave (reference, 3.3).
        removed = Customer.objects.active().exclude(listing_plan__in=list(plans))
        for plan_id in [*plans, *removed.values_list("listing_plan_id", flat=True).distinct()]:
            for answer in client.accounts_of_plan(plan_id, at=at):
                answers[read_subscription(answer)[0].buyer.id] = answer
    except Unreadable as error:
        raise client.Unavailable(f"the list makes no sense: {error}") from error
    for plan in plans.values():
        learn(plan)
    return answers


def missing(answers: dict[int, dict[str, Any]]) -> CustomerQuerySet:
    """The customers of ours that the list does not name."""
    return Customer.objects.active().exclude(github_id__in=list(answers))


SWEEP = sweeps.Sweep("github-reconcile", run=reconcile, preview=preview, late_after=timedelta(hours=26))
