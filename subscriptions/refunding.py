"""Giving money back: proposed by staff, approved, paid, and then the subscription is ended. The sweep `refunds`.

seeds/003: inside thirty days of the first payment the owner is sent to support for a refund. After them, or above a
limit, a second member of staff approves. Approving only writes down the decision; the money moves outside of any
transaction (`subscriptions.payments`), is noted at once, and only then the subscription is ended. So a refund that was
paid while ending it failed is a row that says so, and is finished by the sweep: paid once, whatever is repeated.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import answering, history, invariants, notices, sweeps
from accounts.history import Actor
from accounts.models import Account, Outcome, RequestKind, SupportRequest, User
from accounts.refusal import Refused
from accounts.staff import NeedsAnotherPerson, staff_member
from accounts.support import RequestClosed, conclude, wording
from accounts.writes import BeingErased
from subscriptions.cancellation import AlreadyEnded, cancel
from subscriptions.changing import end_at_once
from subscriptions.payments import payments
from subscriptions.refund import MAX_PAYMENT_REFERENCE, Ends, PaidElsewhere, Refund
from subscriptions.subscription import Channel, Subscription

#: For so long a refund that is being carried out is left to the worker that does it.
LEASE = timedelta(minutes=10)
#: The first wait after a failure; it doubles with every further one.
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
#: An approved refund that is not finished for so long is shown to staff.
OVERDUE = timedelta(minutes=15)


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


def register() -> None:
    """Register sweep, invariants, and what keeps a request open. Called once, by `SubscriptionsConfig.ready`."""
    answering.register_under_way(under_way)
    sweeps.register(sweeps.Sweep("refunds", run=carry_out_due, preview=preview, late_after=timedelta(minutes=5)))
    for name, message, violations in (
        (
            "refund-unpaid",
            _("refunds approved more than 15 minutes ago and still not paid"),
            lambda at: Refund.objects.unpaid().filter(approved_at__lt=at - OVERDUE),
        ),
        (
            "refund-not-ended",
            _("refunds paid more than 15 minutes ago whose subscription has still not been ended"),
            lambda at: Refund.objects.paid_but_not_ended().filter(paid_at__lt=at - OVERDUE),
        ),
    ):
        invariants.register(invariants.Invariant(name, message, violations, example="reference"))


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
    staff = staff_member(by)
    number = wording(payment_reference, limit=MAX_PAYMENT_REFERENCE)
    with transaction.atomic():
        subscription = _locked(subscription)
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
        paid = subscription.paid_so_far(at)
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
            second_person_for=second_person_for(subscription, cents, request.made_at if request else at),
        )
        _record(refund, "refund.proposed", by=by, at=at)
    return refund, True


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
    """Decide that it is paid, and tell the owner. The sweep does the rest. Returns whether this call decided it.

    Raises `NeedsAnotherPerson` where two people are needed, `Decided` for one that was declined, `StaffOnly`.
    """
    staff = staff_member(by)
    with transaction.atomic():
        subscription = _locked(refund.subscription)
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
        _record(refund, "refund.approved", by=by, at=at)
        cycle_end = subscription.ends_at or subscription.paid_through(at)
        notices.queue(
            "subscriptions/refund_approved",
            to=[subscription.account.owner()],
            account=subscription.account,
            occasion=f"refund.approved:{refund.pk}",
            at=at,
            reference=refund.reference,
            cents=refund.cents,
            currency=refund.currency,
            plan=subscription.plan.name,
            over=not subscription.is_live(at),
            ends=refund.ends,
            ends_at=cycle_end if refund.ends == Ends.CYCLE_END else at,
        )
    return True


def decline(refund: Refund, *, by: Actor, at: datetime) -> bool:
    """Turn a proposal down, or take it back. Its request stays open, to be answered. Returns whether anything changed.

    Raises `Decided` for one that was approved, `StaffOnly`.
    """
    staff = staff_member(by)
    with transaction.atomic():
        _locked(refund.subscription)
        refund = Refund.objects.locked().select_related("subscription").get(pk=refund.pk)
        if refund.declined_at:
            return False
        if refund.approved_at:
            raise Decided
        refund.declined_at, refund.declined_by = at, staff
        refund.save(update_fields=["declined_at", "declined_by"])
        _record(refund, "refund.declined", by=by, at=at)
    return True


def under_way(request: SupportRequest) -> "Promise | None":
    """What keeps a request from being closed: its refund, until it is finished or declined."""
    if Refund.objects.standing().filter(request=request, ended_at=None).exists():
        return _("There is a refund for this request. It closes the request when it is finished; or decline it first.")
    return None


def preview(at: datetime) -> Iterator[str]:
    """What `carry_out_due` would carry out at `at`, a line each."""
    for refund in Refund.objects.due(at).select_related("subscription__account").iterator():
        account = refund.subscription.account
        step = "end the subscription" if refund.paid_at else f"pay {refund.cents / 100:.2f} {refund.currency}"
        yield f"{account.pk} {account.name}: {refund.reference}: {step}"


def carry_out_due(at: datetime) -> int:
    """Carry out every refund that is due at `at`. Returns how many were finished. One that fails holds up nobody."""
    return sum(carry_out(refund, at=at) for refund in list(Refund.objects.due(at)))


def carry_out(refund: Refund, *, at: datetime) -> bool:
    """Pay an approved refund, then end its subscription. Returns whether this call finished it.

    Whatever fails is noted on its row and tried again later. Not to be called inside a transaction: what was paid is
    to be known whatever comes after.
    """
    claimed = _claim(refund, at)
    if claimed is None:
        return False
    try:
        if claimed.paid_at is None:
            payments().refund(
                key=claimed.reference,
                amount=claimed.cents,
                currency=claimed.currency,
                reference=claimed.payment_reference,
                at=at,
            )
            _note_payment(claimed, at)
        return _end(claimed, at)
    except Exception as error:
        # Whatever the payment system or the ending raises is noted on this row, and never holds up the others.
        wait = min(FIRST_WAIT * 2 ** min(claimed.attempts - 1, 20), LONGEST_WAIT)
        Refund.objects.unfinished().filter(pk=claimed.pk).update(
            next_attempt_at=at + wait, last_error=f"{type(error).__name__}: {error}"[:2000]
        )
        return False


def _claim(refund: Refund, at: datetime) -> Refund | None:
    """Take it for this worker until the lease is over; None if another one has it, or nothing is left to do."""
    with transaction.atomic():
        claimed = Refund.objects.due(at).filter(pk=refund.pk).select_for_update(skip_locked=True, no_key=True).first()
        if claimed:
            claimed.attempts += 1
            claimed.next_attempt_at = at + LEASE
            claimed.save(update_fields=["attempts", "next_attempt_at"])
    return claimed


def _note_payment(refund: Refund, at: datetime) -> None:
    with transaction.atomic():
        _locked(refund.subscription)
        refund.refresh_from_db(from_queryset=Refund.objects.locked())
        if refund.paid_at is None:
            refund.paid_at = at
            refund.save(update_fields=["paid_at"])
            _record(refund, "refund.paid", by=Actor.system(), at=at)


def _end(refund: Refund, at: datetime) -> bool:
    """End the subscription as decided, in the name of who approved, and close the request. Raises what ending does."""
    with transaction.atomic():
        subscription = _locked(refund.subscription)
        refund.refresh_from_db(from_queryset=Refund.objects.locked())
        if refund.ended_at:
            return False
        assert refund.approved_by_id is not None
        approver = User.objects.filter(pk=refund.approved_by_id).first()
        by = Actor.staff(approver) if approver else Actor.system()
        if refund.ends == Ends.NOW:
            end_at_once(subscription, at=at, by=by)
        else:
            _cancel(subscription, by=by, at=at)
        refund.ended_at, refund.last_error = at, ""
        refund.save(update_fields=["ended_at", "last_error"])
        _record(refund, "refund.finished", by=Actor.system(), at=at)
        _close_request(refund, at)
    return True


def _close_request(refund: Refund, at: datetime) -> None:
    if refund.request_id is None:
        return
    request = SupportRequest.objects.select_for_update(no_key=True).open().filter(pk=refund.request_id).first()
    if request:
        conclude(request, outcome=Outcome.REFUNDED, by=Actor.system(), at=at)


def _cancel(subscription: Subscription, *, by: Actor, at: datetime) -> None:
    try:
        cancel(subscription, by=by, at=at)
    except AlreadyEnded:
        # Ended meanwhile by itself: there is nothing left to end.
        return


def _locked(subscription: Subscription) -> Subscription:
    """The subscription as it is now, locked after its account."""
    account = Account.objects.select_for_update(no_key=True).filter(pk=subscription.account_id).first()
    if account is None or account.purging_at:
        raise BeingErased(subscription.account_id)
    subscription = Subscription.objects.locked().select_related("plan").get(pk=subscription.pk)
    subscription.account = account
    return subscription


def _fitting(request: SupportRequest, subscription: Subscription) -> SupportRequest:
    """The request as it is now, locked. Raises `WrongRequest` and `RequestClosed`."""
    request = SupportRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
    if request.account_id != subscription.account_id or request.kind == RequestKind.DELETION:
        raise WrongRequest
    if request.closed_at:
        raise RequestClosed
    return request


def _record(refund: Refund, kind: str, *, by: Actor, at: datetime) -> None:
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
