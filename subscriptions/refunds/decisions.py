"""Deciding about money back: proposed by staff, approved or declined. It is carried out in
`subscriptions.refunds.paying`.

facts/cancelling, 3: inside thirty days of the first payment the owner is sent to support for a refund. After them, or
above a limit, a second member of staff approves. Nothing here moves money: approving writes down the decision.

Of a subscription that a payment provider holds, a payment is paid back that was read there, and no more of it than is
left. What the customer's bank has taken back already, or asks for, is not paid back as well: that would be paid twice.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.formats import money
from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, staff_member
from accounts.mail import notices
from accounts.models import RequestKind, SupportRequest
from accounts.support.requests import RequestClosed
from subscriptions.billing import finding
from subscriptions.billing.invoice import InvoicePayment
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.pricing.repricing import paid_so_far
from subscriptions.refunds.refund import MAX_PAYMENT_REFERENCE, MAY_FAIL_FOR, Ends, PaidElsewhere, Refund, RefundCause
from subscriptions.subscription import Channel, Subscription, locked

#: What staff find when an owner was charged for a time after a promised end.
CHARGED_AFTER_END = "charged-after-end"


class WrongAmount(Refused):
    text = _("The amount has to be more than nothing, and not more than %(paid)s, which is what was paid.")


class WrongCurrency(Refused):
    text = _("This subscription was paid in %(currency)s.")


class NoSuchPayment(Refused):
    text = _("The payment provider knows no such payment of this subscription. Choose one from the list.")


class NotLeft(Refused):
    text = _("Of this payment %(left)s are left: the rest has been paid back already.")


class Disputed(Refused):
    text = _(
        "The customer's bank asks for this payment back. Paid back as well, it would be paid twice: answer the dispute "
        "at the payment provider."
    )


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
    is_by_hand: bool = False,
) -> tuple[Refund, bool]:
    """Propose to pay `cents` back, of the payment that the payment system calls `payment_reference`.

    `is_by_hand`: staff pay it themselves, though a provider holds the subscription, because its way to the customer is
    closed. Nothing is paid before `approve`. Returns the refund, and whether it is new: the same proposal twice is one.
    Raises `PaidElsewhere`, `WrongAmount`, `WrongCurrency`, `WrongRequest`, `RequestClosed`, `ProposedBefore`,
    `NoSuchPayment`, `NotLeft`, `Disputed`, `StaffOnly`, `NoText`, `TextTooLong`.
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
        terms = (cents, Ends(ends), number, request.pk if request else None, is_by_hand)
        if standing := subscription.refunds.decided().standing().first():
            if terms == (
                standing.cents,
                standing.ends,
                standing.payment_reference,
                standing.request_id,
                standing.is_by_hand,
            ):
                return standing, False
            raise ProposedBefore(standing)
        paid = paid_so_far(subscription, at)
        if not 0 < cents <= paid:
            raise WrongAmount(paid=money(paid, currency))
        if subscription.held_by:
            _fitting_payment(subscription, number, cents)
        refund = Refund.objects.create(
            request=request,
            subscription=subscription,
            cents=cents,
            paid_cents=paid,
            currency=currency,
            ends=ends,
            payment_reference=number,
            is_by_hand=is_by_hand and subscription.held_by != "",
            proposed_by=staff,
            proposed_at=at,
            second_person_for=second_person_for(subscription, cents, _asked_at(request, at)),
        )
        record(refund, SubscriptionEvent.REFUND_PROPOSED, by=by, at=at)
    return refund, True


def _fitting_payment(subscription: Subscription, reference: str, cents: int) -> None:
    """Raises `NoSuchPayment`, `Disputed`, and `NotLeft`, by what was last read of it at the provider."""
    payment = InvoicePayment.objects.filter(invoice__subscription=subscription, reference=reference).first()
    if payment is None:
        raise NoSuchPayment
    if payment.disputed:
        raise Disputed
    if cents > payment.left_cents:
        raise NotLeft(left=money(payment.left_cents, subscription.currency))


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

    Raises `NeedsAnotherPerson` where two people are needed, `Decided` for one that was declined, `StaffOnly`; and what
    `propose` raises of a payment, where it has been disputed or paid back since.
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
        if subscription.held_by:
            _fitting_payment(subscription, refund.payment_reference, refund.cents)
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


def charge_undone(
    subscription: Subscription,
    *,
    payment_reference: str,
    provider_reference: str,
    cents: int,
    currency: str,
    at: datetime,
) -> bool:
    """The provider pays a charge back that was taken for a time after a promised end. Returns whether that is news.

    The delay was ours, so nobody decides about it, two people are not needed, and it is not the subscription's one
    refund. It ends nothing: the subscription has ended. The owner is told now that it comes back, and once more when it
    is paid; staff find it among what they look at; the sweep `refunds` looks after it as after any other. In the
    caller's transaction, under the locks of account and subscription.
    """
    found = finding.find(
        CHARGED_AFTER_END,
        provider=subscription.held_by,
        reference=payment_reference,
        account=subscription.account,
        facts={"refund": provider_reference, "cents": cents, "currency": currency},
        at=at,
    )
    if subscription.account.purging_at:
        # Nothing is written to the account any more, and there is nobody to tell: staff know.
        return found[1]
    undone = subscription.refunds.filter(cause=RefundCause.CHARGED_AFTER_END, payment_reference=payment_reference)
    if undone.exists():
        return False
    refund = Refund.objects.create(
        subscription=subscription,
        cents=cents,
        paid_cents=cents,
        currency=currency,
        ends=Ends.NOW,
        payment_reference=payment_reference,
        provider_reference=provider_reference,
        cause=RefundCause.CHARGED_AFTER_END,
        proposed_at=at,
        approved_at=at,
        accepted_at=at,
        ended_at=at,
        next_attempt_at=at,
        watched_until=at + MAY_FAIL_FOR,
    )
    record(refund, SubscriptionEvent.CHARGE_UNDONE, by=Actor.system(), at=at)
    tell(refund, "charge_undone", at=at)
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


def record(refund: Refund, kind: SubscriptionEvent, *, by: Actor, at: datetime, **why: str) -> None:
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
        **why,
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
        **({"failure": refund.failure} if refund.failed_at else {}),
    )
