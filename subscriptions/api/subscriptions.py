"""Doors of subscriptions that the vendor's own system sells and bills: recorded here, changed, cancelled, kept, ended.

What a marketplace bills is read here and changed there (409); so is a contract of the sales team at the desk.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from accounts.api import problems
from accounts.api.answers import (
    CARRIES_IF_MATCH,
    CARRIES_KEY,
    MAY_CARRY_IF_NONE_MATCH,
    MAY_CARRY_KEY,
    answer,
    etag_of,
    nothing,
)
from accounts.api.caller import Token, caller_of
from accounts.api.cursors import Cursor, Limit, page
from accounts.api.etags import require_match
from accounts.api.fields import Body, Cents, ExternalId, InstantIn, InstantOut, Notify, Seats, Told
from accounts.api.idempotency import once
from accounts.api.lookup import account_of, gone_or_unknown, locked_account
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import Scope
from accounts.core import foreign_input
from accounts.core.write_guard import BeingErased
from accounts.mail import notices
from accounts.models import Account
from subscriptions import changes
from subscriptions.api.plans import INTERVALS, NAMES, IntervalName
from subscriptions.billing_record import BillingRecord
from subscriptions.ending import cancellation, ending_elsewhere
from subscriptions.ending.cancellation import CHOSEN, MAX_COMMENT, AlreadyEnded, Cancellation
from subscriptions.ending.ending_elsewhere import EndReason
from subscriptions.plan import CURRENCY, FREE, Plan, Price
from subscriptions.starting import NoListPrice, NotSold, start
from subscriptions.subscription import MARKETPLACES, MAX_ORDER_REFERENCE, Channel, Subscription, locked

router = Router(tags=["subscriptions"])
READ, WRITE = Token(Scope.ACCOUNTS_READ), Token(Scope.SUBSCRIPTIONS_WRITE)


def _order_reference(text: str) -> str:
    try:
        return foreign_input.name(text, limit=MAX_ORDER_REFERENCE)
    except ValidationError as error:
        raise PydanticCustomError("unfit", "This text can't be kept.") from error


def _reason(code: str) -> str:
    if code and code not in dict(CHOSEN):
        raise PydanticCustomError("reason", "This is none of the reasons.")
    return code


PlanCode = Annotated[str, Field(min_length=1, max_length=40, description="As `GET plans/` names it; not the free one.")]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
OrderReference = Annotated[str, StringConstraints(max_length=MAX_ORDER_REFERENCE), AfterValidator(_order_reference)]
Reason = Annotated[
    str,
    StringConstraints(max_length=20),
    AfterValidator(_reason),
    Field(description=f"{', '.join(f'`{code}`' for code, _label in CHOSEN)}, or nothing."),
]


class SubscriptionIn(Body):
    """A subscription as your billing knows it. Without `cents` it costs the list price."""

    external_id: ExternalId | None = None
    plan: PlanCode
    interval: IntervalName
    seats: Seats = 1
    cents: Cents | None = None
    currency: Currency = CURRENCY
    started_at: InstantIn
    trial_ends_at: InstantIn | None = None
    order_reference: OrderReference = ""


class SubscriptionChange(Body):
    """What is left out stays. Another plan or interval without `cents` costs its list price from now on."""

    plan: PlanCode | None = None
    interval: IntervalName | None = None
    seats: Seats | None = None
    cents: Cents | None = None


class CancellationIn(Body):
    reason: Reason = ""
    comment: Annotated[str, Field(max_length=MAX_COMMENT)] = ""
    #: The end that whoever cancels was shown; with another one nothing is done (409, `out_of_date`).
    promised_end: InstantIn | None = None
    notify: Notify = True


class EndIn(Body):
    ends_at: InstantIn
    reason: Literal["unpaid", "charged_back", "cancelled", "other"]
    notify: Notify = True


class CancellationTold(Told):
    reference: str
    requested_at: InstantOut
    reason: str
    effective_at: InstantOut

    @classmethod
    def of(cls, found: Cancellation) -> "CancellationTold":
        return cls(
            reference=found.reference,
            requested_at=found.requested_at,
            reason=found.reason,
            effective_at=found.effective_at,
        )


class SubscriptionTold(Told):
    id: int
    version: int
    account: uuid.UUID
    external_id: str | None
    channel: str
    plan: str
    interval: IntervalName
    seats: int
    #: For one seat and one cycle.
    cents: int
    currency: str
    order_reference: str
    started_at: InstantOut
    trial_ends_at: InstantOut | None
    ends_at: InstantOut | None
    #: The one that stands: not kept after all, nor carried out.
    cancellation: CancellationTold | None

    @classmethod
    def of(cls, found: Subscription) -> "SubscriptionTold":
        standing = next((c for c in found.cancellations.all() if not c.withdrawn_at and not c.carried_out_at), None)
        return cls(
            id=found.pk,
            version=found.version,
            account=found.account_id,
            external_id=found.external_id,
            channel=found.channel,
            plan=found.plan_id,
            interval=NAMES[found.interval],
            seats=found.seats,
            cents=found.cents,
            currency=found.currency,
            order_reference=found.order_reference,
            started_at=found.started_at,
            trial_ends_at=found.trial_ends_at,
            ends_at=found.ends_at,
            cancellation=CancellationTold.of(standing) if standing else None,
        )


class SubscriptionPage(Told):
    items: list[SubscriptionTold]
    next: str | None


@router.post(
    "accounts/{uuid:account_id}/subscriptions/",
    auth=WRITE,
    response={200: SubscriptionTold, 201: SubscriptionTold},
    openapi_extra=CARRIES_KEY,
)
def record_subscription(request: HttpRequest, account_id: uuid.UUID, body: SubscriptionIn) -> HttpResponse:
    """Record a subscription that was bought from you, begun already or to begin.

    The same external id and body again: the one that is there (200).
    """
    caller = caller_of(request)
    began: Any = body.started_at
    trial_ends_at: Any = body.trial_ends_at
    if trial_ends_at is not None and trial_ends_at <= began:
        raise _invalid("/trial_ends_at", "too_early", "A trial ends after it begins.")

    def work() -> tuple[int, str]:
        account = locked_account(account_id)
        plan = _plan(body.plan)
        if body.external_id and (there := Subscription.objects.filter(external_id=body.external_id).first()):
            _require_same(there, account, body)
            return 200, str(there.pk)
        if Subscription.objects.of(account).filter(Q(ends_at=None) | Q(ends_at__gt=began)).real().exists():
            raise Problem(problems.OVERLAPPING)
        made = start(
            account,
            plan=plan,
            channel=Channel.DIRECT,
            interval=INTERVALS[body.interval],
            seats=body.seats,
            cents=body.cents,
            currency=body.currency,
            starts_at=began,
            trial_ends_at=trial_ends_at,
            order_reference=body.order_reference,
            external_id=body.external_id,
            by=caller.actor,
            at=caller.at,
        )
        return 201, str(made.pk)

    status, made, replayed = once(request, work, token=caller.row, at=caller.at, needed=True)
    return answer(request, SubscriptionTold.of(_found(int(made))), status=status, replayed=replayed)


def _require_same(there: Subscription, account: Account, body: SubscriptionIn) -> None:
    """Raise 409 if the subscription that is called so is not the one that is told."""
    told: tuple[object, ...] = (
        account.pk,
        body.plan,
        body.interval,
        body.seats,
        body.currency,
        body.started_at,
        body.trial_ends_at,
    )
    is_there = (
        there.account_id,
        there.plan_id,
        NAMES[there.interval],
        there.seats,
        there.currency,
        there.started_at,
        there.trial_ends_at,
    )
    same_price = body.cents is None or body.cents == there.cents
    if told != is_there or not same_price or body.order_reference != there.order_reference:
        raise Problem(problems.EXTERNAL_ID_TAKEN)


@router.get("accounts/{uuid:account_id}/subscriptions/", auth=READ, response=SubscriptionPage)
def list_subscriptions(
    request: HttpRequest, account_id: uuid.UUID, cursor: Cursor = "", limit: Limit = 50
) -> HttpResponse:
    """The subscriptions of an account, whoever bills them, in the order in which they begin."""
    rows = Subscription.objects.of(account_of(account_id)).real().prefetch_related("cancellations")
    found, after = page(rows, by="started_at", cursor=cursor, limit=limit)
    return answer(request, SubscriptionPage(items=[SubscriptionTold.of(row) for row in found], next=after))


@router.get(
    "subscriptions/{int:subscription_id}/", auth=READ, response=SubscriptionTold, openapi_extra=MAY_CARRY_IF_NONE_MATCH
)
def get_subscription(request: HttpRequest, subscription_id: int) -> HttpResponse:
    """One subscription."""
    return answer(request, SubscriptionTold.of(_found(subscription_id)))


@router.patch(
    "subscriptions/{int:subscription_id}/", auth=WRITE, response=SubscriptionTold, openapi_extra=CARRIES_IF_MATCH
)
def change_subscription(request: HttpRequest, subscription_id: int, body: SubscriptionChange) -> HttpResponse:
    """Change plan, interval, seats or price from now on."""
    caller = caller_of(request)
    with transaction.atomic():
        found = _locked_direct(subscription_id)
        require_match(request, etag_of(SubscriptionTold.of(found)))
        if found.is_over(caller.at):
            raise AlreadyEnded
        plan = _plan(body.plan) if body.plan else found.plan
        if plan.pk != found.plan_id and not Plan.objects.sold(caller.at).filter(pk=plan.pk).exists():
            raise NotSold(plan=plan.name)
        interval = INTERVALS[body.interval] if body.interval else found.interval
        cents = body.cents
        if cents is None:
            same = (plan.pk, interval) == (found.plan_id, found.interval)
            cents = found.cents if same else _list_price(plan, interval, found.currency, caller.at)
        changes.change(
            found,
            plan_id=plan.pk,
            interval=interval,  # type: ignore[arg-type]  # one of the two
            seats=found.seats if body.seats is None else body.seats,
            cents=cents,
            by=caller.actor,
            at=caller.at,
        )
    return answer(request, SubscriptionTold.of(_found(subscription_id)))


@router.post(
    "subscriptions/{int:subscription_id}/cancellation/",
    auth=WRITE,
    response={200: SubscriptionTold, 201: SubscriptionTold},
    openapi_extra=MAY_CARRY_KEY,
)
def cancel_subscription(request: HttpRequest, subscription_id: int, body: CancellationIn) -> HttpResponse:
    """Let a subscription end with its current cycle, or with its trial. One that is cancelled stays so (200)."""
    caller = caller_of(request)
    comment = _comment(body.comment)

    def work() -> tuple[int, str]:
        found = _locked_direct(subscription_id)
        with notices.sent_if(body.notify):
            _made, new = cancellation.cancel(
                found,
                by=caller.actor,
                at=caller.at,
                reason=body.reason,
                comment=comment,
                promised_end=body.promised_end,  # type: ignore[arg-type]  # an instant, once it is checked
            )
        return 201 if new else 200, str(subscription_id)

    status, _id, replayed = once(request, work, token=caller.row, at=caller.at)
    return answer(request, SubscriptionTold.of(_found(subscription_id)), status=status, replayed=replayed)


@router.delete("subscriptions/{int:subscription_id}/cancellation/", auth=WRITE, response={204: None})
def keep_subscription(request: HttpRequest, subscription_id: int, notify: bool = True) -> HttpResponse:
    """Keep a subscription after all, until it ends. One that is not cancelled goes on anyway."""
    caller = caller_of(request)
    with transaction.atomic():
        found = _locked_direct(subscription_id)
        standing = found.cancellations.open().first()
        if standing is None and found.is_over(caller.at):
            raise AlreadyEnded
        if standing:
            with notices.sent_if(notify):
                cancellation.withdraw(standing, by=caller.actor, at=caller.at)
    return nothing()


@router.post(
    "subscriptions/{int:subscription_id}/end/", auth=WRITE, response=SubscriptionTold, openapi_extra=MAY_CARRY_KEY
)
def end_subscription(request: HttpRequest, subscription_id: int, body: EndIn) -> HttpResponse:
    """Say that your billing has ended a subscription, or will. The earlier of two ends stands."""
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        found = _locked_direct(subscription_id)
        ends_at: Any = body.ends_at
        with notices.sent_if(body.notify):
            ending_elsewhere.end_elsewhere(
                found, ends_at=ends_at, reason=EndReason(body.reason), by=caller.actor, at=caller.at
            )
        return 200, str(subscription_id)

    status, _id, replayed = once(request, work, token=caller.row, at=caller.at)
    return answer(request, SubscriptionTold.of(_found(subscription_id)), status=status, replayed=replayed)


def _found(subscription_id: int) -> Subscription:
    """The subscription, to be read. Raises 404, and 410 where its account is being erased, or has been."""
    rows = Subscription.objects.select_related("account").prefetch_related("cancellations")
    found = rows.filter(pk=subscription_id).first()
    if found is None:
        kept = BillingRecord.objects.filter(pk=subscription_id).exists()
        raise Problem(problems.ERASED if kept else problems.NOT_FOUND)
    if found.account.purging_at:
        raise Problem(problems.ERASED)
    return found


def _locked_direct(subscription_id: int) -> Subscription:
    """The same, locked after its account, if it is ours to change. Raises 409 for what others bill."""
    try:
        found = locked(_found(subscription_id))
    except BeingErased as erasing:
        raise gone_or_unknown(erasing.args[0]) from None
    if found.channel in MARKETPLACES:
        raise Problem(problems.BILLED_ELSEWHERE)
    if found.channel != Channel.DIRECT:
        raise Problem(problems.CONTRACT)
    return found


def _plan(code: str) -> Plan:
    plan = Plan.objects.exclude(code=FREE).filter(code=code).first()
    if plan is None:
        raise _invalid("/plan", "unknown_plan", "There is no such plan that can be bought.")
    return plan


def _list_price(plan: Plan, interval: int, currency: str, at: datetime) -> int:
    listed = Price.objects.on_the_list(at).filter(plan=plan, interval=interval, currency=currency).first()
    if listed is None:
        raise NoListPrice(plan=plan.name, currency=currency)
    return listed.cents


def _comment(text: str) -> str:
    try:
        return foreign_input.text(text, limit=MAX_COMMENT)
    except ValidationError:
        raise _invalid("/comment", "unfit", "This text can't be kept.") from None


def _invalid(pointer: str, code: str, detail: str) -> Problem:
    return Problem(problems.INVALID, errors=[FieldError(pointer, code, detail)])
