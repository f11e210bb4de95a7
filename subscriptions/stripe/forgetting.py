"""What becomes of an erased account at Stripe: dated steps, a row each, written down when the erasing begins.

Nothing is erased here before Stripe itself has said that nothing runs there any more: its word counts, not ours, and a
purge waits for it (`reason_to_wait`). An account that is gone while its card is charged on is the commonest grave bug
of this field. What follows is a policy (`STRIPE_FORGET`):

- `detach`, the default: what the customer object says about a person is blanked, and cards are taken off it. Invoices
  and payments stay as they were issued, because tax law asks for them; they are redacted when its term is over.
- `delete`: the customer object is deleted besides. That takes no name off an invoice either.
- `redact`: as `detach`, and all of it is redacted as soon as Stripe does that: 90 days after the last transaction.

The rows know no person: Stripe's id of the customer, dates and counts. They outlive the account, because the last step
comes long after it. The certificate says what remains at Stripe, why, and until when (`remains`).
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from stripe import RequestOptions
from stripe.params import CustomerUpdateParams, SubscriptionUpdateParams

from accounts.erasure.purge import Purge
from accounts.inbox.delivery import Delivery
from accounts.jobs import sweeps
from accounts.jobs.due_work import DueWork, DueWorkQuerySet, NotYet, overdue, run_due
from subscriptions.billing.finding import find
from subscriptions.billing.holding import MAX_REFERENCE, Holding
from subscriptions.billing.wish import Want, Wish
from subscriptions.billing_record import KEPT_FOR
from subscriptions.stripe.client import StripeError, not_yet, stripe_api
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.price import StripePrice
from subscriptions.stripe.too_late import CODE

#: As subscriptions say that Stripe holds them.
PROVIDER = CODE
#: Stripe redacts no transaction that is younger.
REDACTABLE_AFTER = timedelta(days=90)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: Something else has to happen first: looked at again after so long.
LOOK_AGAIN = timedelta(minutes=1)
#: A redaction takes Stripe minutes to hours.
ASK_AGAIN = timedelta(minutes=15)
#: In which nothing is charged, and nothing can be brought back.
OVER = ("canceled", "incomplete_expired")
#: Under which our own id of the account stands on what we make there.
ACCOUNT_KEY = "offboard_account"
REDACTION = "/v1/privacy/redaction_jobs"
#: What of its invoices is not settled: owed, and not final yet.
UNSETTLED: tuple[Literal["open", "draft"], ...] = ("open", "draft")
#: Everything on the customer object that tells of a person; an empty text unsets it.
BLANK: CustomerUpdateParams = {
    "name": "",
    "email": "",
    "phone": "",
    "address": "",
    "shipping": "",
    "description": "",
    "metadata": "",
    "invoice_settings": {"custom_fields": "", "footer": ""},
}


class Policy(models.TextChoices):
    """What `STRIPE_FORGET` may say."""

    DETACH = "detach", _("blank the customer, keep its invoices")
    DELETE = "delete", _("delete the customer, keep its invoices")
    REDACT = "redact", _("redact the customer with its invoices")


class StepKind(models.IntegerChoices):
    """In the order in which they are done."""

    CONFIRM = 1, _("confirm that nothing runs")
    SETTLE = 2, _("void what is open, take the cards off")
    BLANK = 3, _("blank the customer")
    DELETE = 4, _("delete the customer")
    REDACT = 5, _("redact what is left")


class ForgettingStepQuerySet(DueWorkQuerySet["ForgettingStep"]):
    def pending(self) -> "ForgettingStepQuerySet":
        """Those whose turn it is: of one customer one step comes after the other."""
        earlier = ForgettingStep.objects.filter(
            account_id=models.OuterRef("account_id"),
            customer=models.OuterRef("customer"),
            kind__lt=models.OuterRef("kind"),
            done_at=None,
        )
        return self.filter(~models.Exists(earlier), done_at=None)

    def before_erasing(self, account_id: uuid.UUID) -> "ForgettingStepQuerySet":
        """Those still to be done for which the erasing waits: all but what is due long after it."""
        return self.filter(account_id=account_id, done_at=None).exclude(kind=StepKind.REDACT)


class ForgettingStep(DueWork):
    """One step about one customer at Stripe whose account is being erased, or has been."""

    WAITING_SINCE = "due_at"
    OVERDUE = timedelta(hours=1)

    #: No foreign key: the row outlives the account.
    account_id = models.UUIDField(_("account"), editable=False)
    #: Stripe's id, by which what remains there is found while the law wants it kept.
    customer = models.CharField(_("Stripe’s id"), max_length=MAX_REFERENCE)
    kind = models.PositiveSmallIntegerField(_("step"), choices=StepKind.choices)
    due_at = models.DateTimeField(_("due"))
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    #: Counts and ids of Stripe's; nothing about a person.
    facts: "models.JSONField[Any, Any]" = models.JSONField(_("facts"), default=dict, blank=True)

    objects = ForgettingStepQuerySet.as_manager()

    class Meta:
        verbose_name = _("step of forgetting")
        verbose_name_plural = _("steps of forgetting")
        constraints = [
            models.UniqueConstraint(fields=["account_id", "customer", "kind"], name="forgetting_step_once"),
            models.CheckConstraint(condition=models.Q(kind__in=StepKind.values), name="forgetting_step_kind_is_known"),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at", "id"], condition=models.Q(done_at=None), name="forgetting_step_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.get_kind_display()}"

    def key(self, verb: str, about: str = "") -> str:
        """An idempotency key of this attempt alone: every call here may be repeated, and Stripe replays even a 500."""
        return f"forget:{self.pk}:{self.attempts}:{verb}:{about}"


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
    """What of the account is left at Stripe when it has been erased here, for its certificate; one entry a customer."""
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
                    "what": gettext("invoices and payments as they were issued, with the name and address on them"),
                    "why": gettext("tax and commerce law; GDPR art. 17(3)(b)"),
                    "until": last.due_at.date().isoformat(),
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
        facts = _STEPS[StepKind(step.kind)](step, at)
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


def _confirm(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """Ask Stripe what runs. Ours that still does is ended here, unless a wish about it is being carried out."""
    customer = _customer(step, at)
    if not customer.get("deleted"):
        # First: what is still being paid would be a subscription that nobody has ended.
        _expire_sessions(step, at)
    wishes = Wish.objects.open().filter(subscription__account_id=step.account_id, subscription__held_by=PROVIDER)
    if wishes.filter(want=Want.END).exists():
        raise NotYet("Stripe is still being asked to end it", until=at + LOOK_AGAIN, counts=False)
    facts = {"subscriptions": 0, "ended_by_this": 0, "others_run": 0}
    ours = _Ours(step.account_id)
    for subscription in _subscriptions(step, at):
        facts["subscriptions"] += 1
        if subscription.get("status") in OVER:
            continue
        if not ours.has(subscription):
            facts["others_run"] += 1
            continue
        _end(step, str(subscription["id"]), at)
        facts["ended_by_this"] += 1
    return facts


def _settle(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """Void what would still be taken from a card, and take the cards off. What was sent as a bill is left, counted."""
    api, customer = stripe_api(), step.customer
    facts = {"voided": 0, "owed": 0, "cards": 0}
    if _customer(step, at).get("deleted"):
        return facts
    ours = _Ours(step.account_id)
    subscriptions = {str(found["id"]) for found in _subscriptions(step, at) if ours.has(found)}
    for status in UNSETTLED:
        for invoice in list(_invoices(step, status, at)):
            number = str(invoice["id"])
            if _subscription_of(invoice) not in subscriptions or invoice.get("collection_method") == "send_invoice":
                facts["owed"] += status == "open"
            elif status == "open":
                _void(step, number, at)
                facts["voided"] += 1
            elif invoice.get("auto_advance"):
                # A draft of a subscription can't be voided: it must not become final by itself.
                _hold(step, number, at)
    methods = api.every(lambda v1, page: v1.customers.payment_methods.list(customer, {**page}), at=at)
    for method in list(methods):
        _detach(step, str(method["id"]), at)
        facts["cards"] += 1
    return facts


def _blank(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """Blank the customer, and what its subscriptions say beside their dates; then look whether it is blank."""
    api, customer = stripe_api(), step.customer
    if _customer(step, at).get("deleted"):
        return {"deleted": True}
    ours = _Ours(step.account_id)
    for subscription in list(_subscriptions(step, at)):
        comment = (subscription.get("cancellation_details") or {}).get("comment")
        if ours.has(subscription) and (comment or subscription.get("metadata")):
            _blank_subscription(step, str(subscription["id"]), at)
    options: RequestOptions = {"idempotency_key": step.key("blank", customer)}
    said = api.ask(lambda v1: v1.customers.update(customer, BLANK, options), at=at)
    left = [name for name in ("name", "email", "phone", "address", "shipping", "description") if said.get(name)]
    if left:
        raise NotYet(f"Stripe still has {', '.join(left)} of the customer")
    return {"blank": True}


def _delete(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    if not _customer(step, at).get("deleted"):
        options: RequestOptions = {"idempotency_key": step.key("delete")}
        said = stripe_api().ask(lambda v1: v1.customers.delete(step.customer, options=options), at=at)
        if not said.get("deleted"):
            raise NotYet("Stripe did not say that the customer is deleted")
    return {"deleted": True}


def _redact(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """One redaction job of Stripe's (a public preview, docs/stripe.md): made, run, and asked about until it is done."""
    api, job = stripe_api(), str(step.facts.get("job", ""))
    if not job:
        wanted = {"objects": {"customers": [step.customer]}, "validation_behavior": "error"}
        options: Any = {"idempotency_key": f"forget:{step.pk}:redact:{step.attempts}"}
        said = api.ask(lambda v1: v1._request("post", REDACTION, wanted, options, base_address="api"), at=at)
        job = str(said["id"])
        ForgettingStep.objects.filter(pk=step.pk).update(facts={**step.facts, "job": job})
        step.facts = {**step.facts, "job": job}
    else:
        said = api.ask(lambda v1: v1._request("get", f"{REDACTION}/{job}", base_address="api"), at=at)
    status = said.get("status")
    if status == "ready":
        options = {"idempotency_key": f"forget:{step.pk}:run:{job}"}
        said = api.ask(lambda v1: v1._request("post", f"{REDACTION}/{job}/run", {}, options, base_address="api"), at=at)
        status = said.get("status")
    if status == "succeeded":
        return {"redacted": True}
    if status in ("failed", "canceled"):
        # A new job next time: what was in its way can only be mended at Stripe.
        ForgettingStep.objects.filter(pk=step.pk).update(facts={})
        raise NotYet(f"Stripe’s redaction {job} ended as {status}: its dashboard says what is in its way")
    raise NotYet(f"Stripe’s redaction {job} is {status}", until=at + ASK_AGAIN, counts=False)


def _invoices(step: ForgettingStep, status: Literal["open", "draft"], at: datetime) -> Iterator[dict[str, Any]]:
    customer = step.customer
    return stripe_api().every(
        lambda v1, page: v1.invoices.list({**page, "customer": customer, "status": status}), at=at
    )


def _void(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("void", number)}
    stripe_api().ask(lambda v1: v1.invoices.void_invoice(number, options=options), at=at)


def _hold(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("hold", number)}
    stripe_api().ask(lambda v1: v1.invoices.update(number, {"auto_advance": False}, options), at=at)


def _detach(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("detach", number)}
    stripe_api().ask(lambda v1: v1.payment_methods.detach(number, options=options), at=at)


def _blank_subscription(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("blank", number)}
    blank: SubscriptionUpdateParams = {"metadata": "", "cancellation_details": {"comment": ""}}
    stripe_api().ask(lambda v1: v1.subscriptions.update(number, blank, options), at=at)


_STEPS = {
    StepKind.CONFIRM: _confirm,
    StepKind.SETTLE: _settle,
    StepKind.BLANK: _blank,
    StepKind.DELETE: _delete,
    StepKind.REDACT: _redact,
}


def _customer(step: ForgettingStep, at: datetime) -> dict[str, Any]:
    """The customer, maybe `deleted`. One that Stripe never heard of proves nothing: that is the wrong key."""
    customer = stripe_api().ask(lambda v1: v1.customers.retrieve(step.customer), at=at)
    known = StripeCustomer.objects.filter(reference=step.customer).first()
    if known and customer.get("livemode") not in (None, known.livemode):
        raise NotYet("the key is of the other mode: test instead of live, or the reverse")
    return customer


def _expire_sessions(step: ForgettingStep, at: datetime) -> None:
    api, customer = stripe_api(), step.customer
    found = api.every(
        lambda v1, page: v1.checkout.sessions.list({**page, "customer": customer, "status": "open"}), at=at
    )
    for session in list(found):
        _expire(step, str(session["id"]), at)


def _expire(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("expire", number)}
    stripe_api().ask(lambda v1: v1.checkout.sessions.expire(number, options=options), at=at)


def _subscriptions(step: ForgettingStep, at: datetime) -> Iterator[dict[str, Any]]:
    """All that the customer has or had, the ended ones too."""
    customer = step.customer
    return stripe_api().every(
        lambda v1, page: v1.subscriptions.list({**page, "customer": customer, "status": "all"}), at=at
    )


def _end(step: ForgettingStep, number: str, at: datetime) -> None:
    options: RequestOptions = {"idempotency_key": step.key("end", number)}
    said = stripe_api().ask(
        lambda v1: v1.subscriptions.cancel(number, {"prorate": False, "invoice_now": False}, options), at=at
    )
    if said.get("status") != "canceled":
        raise NotYet(f"Stripe says that {number} is {said.get('status')}")


class _Ours:
    """Tells a subscription of ours from one of another product on the same Stripe account, which is never touched."""

    def __init__(self, account_id: uuid.UUID) -> None:
        self._account = str(account_id)
        held = Holding.objects.filter(provider=PROVIDER, subscription__account_id=account_id)
        self._held = set(held.values_list("reference", flat=True))
        self._prices = set(StripePrice.objects.mapped().values_list("reference", flat=True))

    def has(self, subscription: Mapping[str, Any]) -> bool:
        if subscription["id"] in self._held or (subscription.get("metadata") or {}).get(ACCOUNT_KEY):
            return True
        items = (subscription.get("items") or {}).get("data") or []
        return any((item.get("price") or {}).get("id") in self._prices for item in items)


def _subscription_of(invoice: Mapping[str, Any]) -> str:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found = details.get("subscription") or ""
    return str(found.get("id") if isinstance(found, Mapping) else found)


SWEEP = sweeps.Sweep("stripe-forget", run=forget_due, preview=preview, late_after=timedelta(minutes=15))

INVARIANTS = (
    overdue(
        ForgettingStep,
        "stripe-forget-overdue",
        _("steps at Stripe for accounts that are being erased, undone for more than an hour: their last error"),
        example="account_id",
    ),
)
