"""What becomes of an erased account at Stripe: dated steps, a row each, written down when the erasing begins.

Nothing is erased here before Stripe itself has said that nothing runs there any more: its word counts, not ours, and a
purge waits for it (`reason_to_wait`). An account that is gone while its card is charged on is the commonest grave bug
of this field. What follows is a policy (`STRIPE_FORGET`):

- `detach`, the default: what the customer object says about a person is blanked, and cards are taken off it. Invoices
  and payments stay as they were issued, because tax law asks for them; they are redacted when its term is over.
- `delete`: the customer object is deleted besides. That takes no name off an invoice either.
- `redact`: as `detach`, and all of it is redacted as soon as Stripe does that: 90 days after the last transaction.

What is done is `subscriptions.stripe.forgetting_calls`'; the certificate says what remains at Stripe, why, and until
when (`remains`).
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.erasure.purge import Purge
from accounts.inbox.delivery import Delivery
from accounts.jobs import sweeps
from accounts.jobs.due_work import overdue, run_due
from subscriptions.billing.finding import find
from subscriptions.billing.holding import Holding
from subscriptions.billing_record import KEPT_FOR
from subscriptions.stripe.client import StripeError, not_yet
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.forgetting_calls import STEPS
from subscriptions.stripe.forgetting_step import ForgettingStep, StepKind
from subscriptions.stripe.payloads import CODE

#: As subscriptions say that Stripe holds them.
PROVIDER = CODE
#: Stripe redacts no transaction that is younger.
REDACTABLE_AFTER = timedelta(days=90)
#: Events can be read at Stripe for so long.
EVENTS_KEPT = timedelta(days=30)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)


class Policy(models.TextChoices):
    """What `STRIPE_FORGET` may say."""

    DETACH = "detach", _("blank the customer, keep its invoices")
    DELETE = "delete", _("delete the customer, keep its invoices")
    REDACT = "redact", _("redact the customer with its invoices")


def customers_of(account_id: uuid.UUID) -> set[str]:
    """What Stripe calls this account, wherever we have noted it: also once our rows of the account are gone."""
    linked = StripeCustomer.objects.filter(account_id=account_id).values_list("reference", flat=True)
    holding = Holding.objects.filter(provider=PROVIDER, subscription__account_id=account_id)
    noted = ForgettingStep.objects.filter(account_id=account_id).values_list("customer", flat=True)
    return {*linked, *holding.values_list("customer_reference", flat=True), *noted} - {""}


def deliveries(account_id: uuid.UUID) -> "models.QuerySet[Delivery]":
    """What Stripe told us that names the customer, not emptied yet: addresses stand in it, and digits of cards."""
    customers = sorted(customers_of(account_id))
    about = models.Q(external_account__in=customers) | models.Q(body__isnull=False, named__overlap=customers)
    return Delivery.objects.with_texts().filter(about, source=PROVIDER)


def plan_to_forget(account_id: uuid.UUID, at: datetime) -> None:
    """Write down what is to be done at Stripe. In the transaction that begins the erasing; again changes nothing."""
    policy = Policy(settings.STRIPE_FORGET)
    redacted_at = at + (REDACTABLE_AFTER if policy == Policy.REDACT else KEPT_FOR)
    due = {StepKind.CONFIRM: at, StepKind.SETTLE: at, StepKind.BLANK: at, StepKind.REDACT: redacted_at}
    if policy == Policy.DELETE:
        due[StepKind.DELETE] = at
    ForgettingStep.objects.bulk_create(
        [
            ForgettingStep(account_id=account_id, customer=customer, kind=kind, due_at=when, next_attempt_at=when)
            for customer in sorted(customers_of(account_id))
            for kind, when in sorted(due.items())
        ],
        ignore_conflicts=True,
    )


def reason_to_wait(account_id: uuid.UUID, at: datetime) -> str | None:
    """Nothing is erased before Stripe has said that nothing runs there, and what is settled there has been."""
    step = ForgettingStep.objects.before_erasing(account_id).order_by("kind", "customer").first()
    if step is None:
        return None
    if step.kind == StepKind.CONFIRM:
        return gettext("Stripe’s word that nothing runs there any more")
    return gettext("Stripe: %(step)s") % {"step": step.get_kind_display()}


def remains(account_id: uuid.UUID) -> list[dict[str, Any]]:
    """What of the account is left at Stripe when it has been erased here, for its certificate; by customer."""
    found: list[dict[str, Any]] = []
    for customer in sorted(customers_of(account_id)):
        steps = {step.kind: step for step in ForgettingStep.objects.filter(account_id=account_id, customer=customer)}
        if not steps:
            continue
        if steps[StepKind.CONFIRM].facts.get("others_run"):
            found.append(
                {
                    "where": "Stripe",
                    "what": gettext("the customer, as it was: it buys something else there that is not ours"),
                    "why": gettext("a contract that goes on, GDPR art. 6(1)(b)"),
                    "until": None,
                }
            )
            continue
        last = steps.get(StepKind.REDACT)
        if last and last.done_at is None:
            found.append(
                {
                    "where": "Stripe",
                    "what": gettext(
                        "invoices, payments and purchases as they were made, with the name and address on them"
                    ),
                    "why": gettext("tax and commerce law; GDPR art. 17(3)(b)"),
                    "until": last.due_at.date().isoformat(),
                }
            )
            blanked_at = steps[StepKind.BLANK].done_at
            if blanked_at:
                found.append(
                    {
                        "where": "Stripe",
                        "what": gettext("events, which tell of the customer as it was"),
                        "why": gettext("Stripe keeps them for thirty days, and nobody can delete them sooner"),
                        "until": (blanked_at + EVENTS_KEPT).date().isoformat(),
                    }
                )
    return found


def preview(at: datetime) -> Iterator[str]:
    """What `forget_due` would do at `at`, a line each."""
    for step in ForgettingStep.objects.due(at).iterator():
        yield f"{step.account_id} {step}"


def forget_due(at: datetime) -> int:
    """Do every step that is due at `at`. Returns how many were done."""
    return run_due(ForgettingStep.objects.due, take_step, at=at, run=RUN)


def take_step(step: ForgettingStep, at: datetime) -> bool:
    """One step, outside of any transaction. Raises `NotYet` while it can't be done."""
    try:
        facts = STEPS[StepKind(step.kind)](step, at)
    except StripeError as error:
        raise not_yet(error) from error
    with transaction.atomic():
        rows = ForgettingStep.objects.filter(pk=step.pk, done_at=None)
        done = rows.update(done_at=at, facts={**step.facts, **facts}, last_error="", attempts=0)
        if done and facts.get("others_run"):
            _leave_the_rest(step, at)
        # Its next step, and the purge that waits, go on at once.
        later = ForgettingStep.objects.filter(account_id=step.account_id, customer=step.customer, kind__gt=step.kind)
        later.filter(done_at=None, due_at__lte=at).update(next_attempt_at=at)
        if not ForgettingStep.objects.before_erasing(step.account_id).exists():
            waiting = Purge.objects.filter(account_id=step.account_id, started_at__isnull=False, verified_at=None)
            waiting.filter(next_attempt_at__gt=at).exclude(waiting_for="").update(next_attempt_at=at)
    return bool(done)


def _leave_the_rest(step: ForgettingStep, at: datetime) -> None:
    """The customer buys something there that is not ours: it is neither blanked nor deleted. Staff are told."""
    rest = ForgettingStep.objects.filter(account_id=step.account_id, customer=step.customer, done_at=None)
    rest.update(done_at=at, facts={"left": "others_run"})
    find("erased-customer-buys-elsewhere", provider=PROVIDER, reference=step.customer, at=at)


SWEEP = sweeps.Sweep("stripe-forget", run=forget_due, preview=preview, late_after=timedelta(minutes=15))

INVARIANTS = (
    overdue(
        ForgettingStep,
        "stripe-forget-overdue",
        _("steps at Stripe for accounts that are being erased, undone for more than an hour: their last error"),
        example="account_id",
    ),
)
