"""Carrying out refunds: pay, then end the subscription. The sweep `refunds`.

The money moves outside of any transaction (`subscriptions.refunds.payments`) and is noted at once; only then the owner
is told that it was paid, and the subscription is ended. So a refund that was paid while ending it failed is a row that
says so, and is finished by the next sweep: paid once, whatever is repeated. Where no payment system is connected, staff
pay in theirs and say so (`say_paid`): the sweep waits for that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers.history import Actor
from accounts.customers.staff import staff_member
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import run_due
from accounts.models import RequestOutcome, SupportRequest, User
from accounts.support.requests import conclude
from subscriptions.billing.wish import Cause
from subscriptions.cancellation import AlreadyEnded, cancel
from subscriptions.changes import end_at_once
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.refunds.decisions import record, tell
from subscriptions.refunds.payments import by_hand, payments
from subscriptions.refunds.refund import MAX_PAYMENT_REFERENCE, Ends, Refund, RefundQuerySet
from subscriptions.subscription import Subscription, locked

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: An approved refund that is not finished for so long is shown to staff.
OVERDUE = timedelta(minutes=15)
#: The same for one that they pay themselves: a weekend, and it is still within the days that the customer was promised.
BY_HAND_OVERDUE = timedelta(days=3)


class PaidByItself(Refused):
    text = _("The payment system pays this refund by itself. There is nothing to do.")


class NotApproved(Refused):
    text = _("This refund is not approved, so it must not be paid.")


def preview(at: datetime) -> Iterator[str]:
    """What `carry_out_due` would carry out at `at`, a line each."""
    for refund in _due(at).select_related("subscription__account").iterator():
        account = refund.subscription.account
        step = "end the subscription" if refund.paid_at else f"pay {refund.cents / 100:.2f} {refund.currency}"
        yield f"{account.pk} {account.name}: {refund.reference}: {step}"


def carry_out_due(at: datetime) -> int:
    """Carry out every refund that is due at `at`. Returns how many were finished. One that fails holds up nobody."""
    return run_due(_due, _carry_out, at=at, run=RUN)


def _due(at: datetime) -> RefundQuerySet:
    """What is due, without what waits for staff to pay it: their word puts it in line (`say_paid`)."""
    due = Refund.objects.due(at)
    return due.exclude(paid_at=None) if by_hand() else due


def _carry_out(refund: Refund, at: datetime) -> bool:
    """Pay an approved refund, then end its subscription. Returns whether this call finished it.

    Raises what the payment system or the ending raises. Not inside a transaction: what was paid is to be known whatever
    comes after.
    """
    if refund.paid_at is None:
        payments().refund(
            key=refund.reference,
            amount=refund.cents,
            currency=refund.currency,
            reference=refund.payment_reference,
            at=at,
        )
        _note_payment(refund, at)
    return _end(refund, at)


def say_paid(refund: Refund, *, payment_reference: str, by: Actor, at: datetime) -> bool:
    """Staff have paid it in their payment system, under this number: write it down, and tell the owner.

    The subscription is ended by the sweep. Returns whether anything changed: paid once is paid. Raises `NotApproved`,
    `PaidByItself`, `StaffOnly`, `NoText`, `TextTooLong`.
    """
    staff_member(by, refund.subscription.account_id)
    number = wording(payment_reference, limit=MAX_PAYMENT_REFERENCE)
    records = by_hand()
    if records is None:
        raise PaidByItself
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund = Refund.objects.locked().get(pk=refund.pk)
        refund.subscription = subscription
        if refund.approved_at is None:
            raise NotApproved
        if refund.paid_at:
            return False
        records.record(key=refund.reference, amount=refund.cents, currency=refund.currency, reference=number, at=at)
        refund.next_attempt_at = at
        refund.save(update_fields=["next_attempt_at"])
        _note(refund, by=by, at=at)
    return True


def _note_payment(refund: Refund, at: datetime) -> None:
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund.refresh_from_db(from_queryset=Refund.objects.locked())
        refund.subscription = subscription
        if refund.paid_at is None:
            _note(refund, by=Actor.system(), at=at)


def _note(refund: Refund, *, by: Actor, at: datetime) -> None:
    """It is paid. Under the locks of account, subscription and refund."""
    refund.paid_at = at
    refund.save(update_fields=["paid_at"])
    record(refund, SubscriptionEvent.REFUND_PAID, by=by, at=at)
    tell(refund, "refund_paid", at=at)


def _end(refund: Refund, at: datetime) -> bool:
    """End the subscription as decided, in the name of who approved, and close the request. Raises what ending does."""
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund.refresh_from_db(from_queryset=Refund.objects.locked())
        if refund.ended_at:
            return False
        assert refund.approved_by_id is not None
        approver = User.objects.filter(pk=refund.approved_by_id).first()
        by = Actor.staff(approver) if approver else Actor.system()
        if refund.ends == Ends.NOW:
            end_at_once(subscription, at=at, by=by, cause=Cause.REFUND)
        else:
            _cancel(subscription, by=by, at=at)
        refund.ended_at, refund.last_error = at, ""
        refund.save(update_fields=["ended_at", "last_error"])
        record(refund, SubscriptionEvent.REFUND_FINISHED, by=Actor.system(), at=at)
        _close_request(refund, at)
    return True


def _close_request(refund: Refund, at: datetime) -> None:
    if refund.request_id is None:
        return
    request = SupportRequest.objects.select_for_update(no_key=True).open().filter(pk=refund.request_id).first()
    if request:
        conclude(request, outcome=RequestOutcome.REFUNDED, by=Actor.system(), at=at)


def _cancel(subscription: Subscription, *, by: Actor, at: datetime) -> None:
    try:
        cancel(subscription, by=by, at=at, cause=Cause.REFUND)
    except AlreadyEnded:
        # Ended meanwhile by itself: there is nothing left to end.
        return


SWEEP = sweeps.Sweep("refunds", run=carry_out_due, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    *(
        invariants.Invariant(name, message, violations, example="reference")
        for (name, message, violations) in (
            (
                "refund-unpaid",
                _("refunds that were approved, and should have been paid by now"),
                lambda at: Refund.objects.unpaid().filter(
                    approved_at__lt=at - (BY_HAND_OVERDUE if by_hand() else OVERDUE)
                ),
            ),
            (
                "refund-not-ended",
                _("refunds paid more than 15 minutes ago whose subscription has still not been ended"),
                lambda at: Refund.objects.paid_but_not_ended().filter(paid_at__lt=at - OVERDUE),
            ),
        )
    ),
    invariants.Invariant(
        "refund-to-pay",
        _("refunds that somebody has to pay in the payment system"),
        lambda at: Refund.objects.unpaid() if by_hand() else Refund.objects.none(),
        example="reference",
        warning=True,
    ),
)
