"""Deciding about money back: proposed by staff, approved or declined. It is carried out in
`subscriptions.refunds.paying`.

facts/cancelling, 3: inside thirty days of the first payment the owner is sent to support for a refund. After them, or
above a limit, a second member of staff approves. Nothing here moves money: approving writes down the decision.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, staff_member
from accounts.mail import notices
from accounts.models import RequestKind, SupportRequest
from accounts.support.requests import RequestClosed
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.pricing.repricing import paid_so_far
from subscriptions.refunds.refund import MAX_PAYMENT_REFERENCE, Ends, PaidElsewhere, Refund
from subscriptions.subscription import Channel, Subscription, locked


class WrongAmount(Refused):
    text = _("The amount has to be more than nothing, and not more than %(paid)s, which is what was paid.")


class WrongCurrency(Refused):
    text = _("This subscription was paid in %(currency)s.")


class WrongRequest(Refused):
    text = _("This request belongs to another account, or asks for something else.")


class ProposedBefore(Refused):
    text = _("There is another refund of this subscription: %(reference)s. Decline that one first.")

    def __init__(self, existing: Refund) -> None:
        super().__init__(reference=existing.reference)
        self.existing = existing


class Decided(Refused):
    text = _("This refund has been decided already.")


def propose(
    subscription: Subscription,
    *,
    cents: int,
    currency: str,
    ends: Ends,
    payment_reference: str,
    by: Actor,
    at: datetime,
    request: SupportRequest | None = None,
) -> tuple[Refund, bool]:
    """Propose to pay `cents` back, of the payment that the payment system calls `payment_reference`.

    Nothing is paid before `approve`. Returns the refund, and whether it is new: the same proposal twice is one. Raises
    `PaidElsewhere`, `WrongAmount`, `WrongCurrency`, `WrongRequest`, `RequestClosed`, `ProposedBefore`, `StaffOnly`,
    `NoText`, `TextTooLong`.
    """
    staff = staff_member(by, subscription.account_id)
    number = wording(payment_reference, limit=MAX_PAYMENT_REFERENCE)
    with transaction.atomic():
        subscription = locked(subscription)
        if request:
            request = _fitting(request, subscription)
        if subscription.channel != Channel.DIRECT:
            raise PaidElsewhere(Channel(subscription.channel))
        if currency != subscription.currency:
            raise WrongCurrency(currency=subscription.currency)
        terms = (cents, Ends(ends), number, request.pk if request else None)
        if standing := subscription.refunds.standing().first():
            if terms == (standing.cents, standing.ends, standing.payment_reference, standing.request_id):
                return standing, False
            raise ProposedBefore(standing)
        paid = paid_so_far(subscription, at)
        if not 0 < cents <= paid:
            raise WrongAmount(paid=f"{paid / 100:.2f} {currency}")
        refund = Refund.objects.create(
            request=request,
            subscription=subscription,
            cents=cents,
            paid_cents=paid,
            currency=currency,
            ends=ends,
            payment_reference=number,
            proposed_by=staff,
            proposed_at=at,
            second_person_for=second_person_for(subscription, cents, _asked_at(request, at)),
        )
        record(refund, SubscriptionEvent.REFUND_PROPOSED, by=by, at=at)
    return refund, True


def _asked_at(request: SupportRequest | None, at: datetime) -> datetime:
    """When the refund was asked for: a request for a refund says so itself; any other, or none, says nothing."""
    return request.made_at if request and request.kind == RequestKind.REFUND else at


def second_person_for(subscription: Subscription, cents: int, asked_at: datetime) -> str:
    """Why a refund needs a second person: `window` if it was asked for too late, `limit` if it is large; else empty.

    Who asks in time is in time, however long the answer takes.
    """
    reasons = {
        "window": not subscription.money_back_open(asked_at),
        "limit": cents > settings.REFUND_LIMIT_CENTS,
    }
    return ",".join(name for name, holds in reasons.items() if holds)


def approve(refund: Refund, *, by: Actor, at: datetime) -> bool:
    """Decide that it is to be paid, and tell the owner. Returns whether this call decided it.

    Nothing is paid by that: the payment system does, or staff (`subscriptions.refunds.paying`).

    Raises `NeedsAnotherPerson` where two people are needed, `Decided` for one that was declined, `StaffOnly`.
    """
    staff = staff_member(by, refund.subscription.account_id)
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund = Refund.objects.locked().get(pk=refund.pk)
        if refund.declined_at:
            raise Decided
        if refund.approved_at:
            return False
        if refund.second_person_for and staff.pk == refund.proposed_by_id:
            raise NeedsAnotherPerson
        refund.subscription = subscription
        refund.approved_at = refund.next_attempt_at = at
        refund.approved_by = staff
        refund.save(update_fields=["approved_at", "approved_by", "next_attempt_at"])
        if refund.request_id:
            SupportRequest.objects.filter(pk=refund.request_id).update(decided_at=at, answered_at=at)
        record(refund, SubscriptionEvent.REFUND_APPROVED, by=by, at=at)
        tell(refund, "refund_approved", at=at)
    return True


def decline(refund: Refund, *, by: Actor, at: datetime) -> bool:
    """Turn a proposal down, or take it back. Its request stays open, to be answered. Returns whether anything changed.

    Raises `Decided` for one that was approved, `StaffOnly`.
    """
    staff = staff_member(by, refund.subscription.account_id)
    with transaction.atomic():
        locked(refund.subscription)
        refund = Refund.objects.locked().select_related("subscription").get(pk=refund.pk)
        if refund.declined_at:
            return False
        if refund.approved_at:
            raise Decided
        refund.declined_at, refund.declined_by = at, staff
        refund.save(update_fields=["declined_at", "declined_by"])
        record(refund, SubscriptionEvent.REFUND_DECLINED, by=by, at=at)
    return True


def under_way(request: SupportRequest) -> "Promise | None":
    """What keeps a request from being closed: its refund, until it is finished or declined."""
    if Refund.objects.standing().filter(request=request, ended_at=None).exists():
        return _("There is a refund for this request. It closes the request when it is finished; or decline it first.")
    return None


def _fitting(request: SupportRequest, subscription: Subscription) -> SupportRequest:
    """The request as it is now, locked. Raises `WrongRequest` and `RequestClosed`."""
    request = SupportRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
    if request.account_id != subscription.account_id or request.kind == RequestKind.DELETION:
        raise WrongRequest
    if request.closed_at:
        raise RequestClosed
    return request


def record(refund: Refund, kind: SubscriptionEvent, *, by: Actor, at: datetime) -> None:
    """Write a refund's line of history, in the caller's transaction."""
    history.record(
        refund.subscription.account_id,
        kind,
        at=at,
        by=by,
        reference=refund.reference,
        subscription=refund.subscription_id,
        cents=refund.cents,
        currency=refund.currency,
        ends=str(refund.ends),
    )


def tell(refund: Refund, kind: str, *, at: datetime) -> None:
    """Queue a mail about a refund and its end to the owner, in the caller's transaction."""
    subscription = refund.subscription
    cycle_end = subscription.ends_at or subscription.paid_through(at)
    notices.queue(
        f"subscriptions/{kind}",
        to=[subscription.account.owner()],
        account=subscription.account,
        occasion=f"{kind}:{refund.pk}",
        at=at,
        reference=refund.reference,
        cents=refund.cents,
        currency=refund.currency,
        plan=subscription.plan.name,
        over=not subscription.is_live(at),
        ends=refund.ends,
        ends_at=cycle_end if refund.ends == Ends.CYCLE_END else at,
    )
