"""Carrying out refunds: pay, end the subscription, look after the money. The sweep `refunds`.

The money moves outside of any transaction and is noted at once; only then the owner is told, and the subscription is
ended. So a refund that was accepted while ending it failed is a row that says so, and is finished by the next sweep:
paid once, whatever is repeated.

Who pays depends on who holds the subscription. A payment provider is asked (`subscriptions.billing.provider`), says how
far it has come, and is asked again until it can't fail any more. Where none holds it and no payment system is connected
(`subscriptions.refunds.payments`), staff pay in theirs and say so (`say_paid`): the sweep waits for that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.currencies import plain
from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers.history import Actor
from accounts.customers.staff import staff_member
from accounts.jobs import invariants, sweeps
from accounts.jobs.due_work import run_due
from accounts.models import RequestKind, RequestOutcome, SupportRequest, User
from accounts.support.requests import conclude, reopen
from subscriptions.billing import finding
from subscriptions.billing.provider import RefundState, provider_of
from subscriptions.billing.wish import Cause
from subscriptions.changes import end_at_once
from subscriptions.ending.cancellation import AlreadyEnded, cancel
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.refunds.decisions import record, tell
from subscriptions.refunds.payments import by_hand, payments, written_down
from subscriptions.refunds.refund import (
    MAX_FAILURE,
    MAX_PAYMENT_REFERENCE,
    MAY_FAIL_FOR,
    Ends,
    Refund,
    RefundCause,
    RefundQuerySet,
)
from subscriptions.subscription import Subscription, locked

#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=2)
#: An approved refund that is not finished for so long is shown to staff.
OVERDUE = timedelta(minutes=15)
#: The same for one that they pay themselves: a weekend, and it is still within the days that the customer was promised.
BY_HAND_OVERDUE = timedelta(days=3)


#: So often it is asked by us; it says so by itself as well, and then it is asked at once (`look_again`).
LOOK_AGAIN = timedelta(days=1)
#: One that is accepted and not paid is asked after more often: the owner waits for that word.
LOOK_AGAIN_SOON = timedelta(hours=1)
#: What banks need; an accepted refund that takes longer is shown to staff.
TOO_LONG_ON_THE_WAY = timedelta(days=10)
#: What staff find when a refund has failed, until they say that they have seen to it.
FAILED = "refund-failed"


class PaidByItself(Refused):
    text = _("The payment system pays this refund by itself. There is nothing to do.")


class NotApproved(Refused):
    text = _("This refund is not approved, so it must not be paid.")


def preview(at: datetime) -> Iterator[str]:
    """What `carry_out_due` would carry out at `at`, a line each."""
    for refund in _due(at).select_related("subscription__account").iterator():
        account = refund.subscription.account
        yield f"{account.pk} {account.name}: {refund.reference}: {_next_step(refund)}"


def _next_step(refund: Refund) -> str:
    if refund.accepted_at is None:
        return f"pay {plain(refund.cents, refund.currency)} {refund.currency}"
    return "look whether it has arrived" if refund.ended_at else "end the subscription"


def carry_out_due(at: datetime) -> int:
    """Carry out every refund that is due at `at`. Returns how many were finished. One that fails holds up nobody."""
    return run_due(_due, _carry_out, at=at, run=RUN)


def _due(at: datetime) -> RefundQuerySet:
    """What is due, without what waits for staff to pay it: their word puts it in line (`say_paid`)."""
    return Refund.objects.due(at).exclude(_waits_for_staff())


def _waits_for_staff() -> models.Q:
    """Which refunds staff pay themselves, and have not said yet that they have."""
    return models.Q(_paid_by_staff(), accepted_at=None)


def _paid_by_staff() -> models.Q:
    own = models.Q(subscription__held_by="") if by_hand() else models.Q(pk__in=[])
    return own | models.Q(is_by_hand=True)


def is_paid_by_staff(refund: Refund) -> bool:
    """Whether staff pay it in their payment system: where nobody else does, or where the provider could not."""
    return refund.is_by_hand or (refund.subscription.held_by == "" and by_hand() is not None)


def _carry_out(refund: Refund, at: datetime) -> bool:
    """Pay an approved refund, then end its subscription; or look at one again. Returns whether this call finished it.

    Raises what the payment system or the ending raises. Not inside a transaction: what was accepted is to be known
    whatever comes after.
    """
    was_ended = refund.ended_at is not None
    if refund.is_by_hand or refund.subscription.held_by == "":
        if refund.accepted_at is None:
            payments().refund(
                key=refund.reference,
                amount=refund.cents,
                currency=refund.currency,
                reference=refund.payment_reference,
                at=at,
            )
            take_in(refund, RefundState("paid"), at=at)
    else:
        provider = provider_of(refund.subscription)
        asked = provider.refund_state if refund.accepted_at else provider.refund
        take_in(refund, asked(refund, at=at), at=at)
    if refund.failed_at is None and not was_ended:
        return _end(refund, at)
    return refund.failed_at is not None


def take_in(refund: Refund, state: RefundState, *, at: datetime) -> None:
    """Note what whoever pays it says of a refund, and tell the owner what is new; the row is read again for that.

    What has failed stays so: another way is another refund. A word that says less than is known changes nothing.
    """
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund.refresh_from_db(from_queryset=Refund.objects.locked())
        refund.subscription = subscription
        if refund.failed_at:
            return
        if state.state == "failed":
            _fail(refund, state.failure, at)
            return
        if refund.accepted_at is None:
            _accept(refund, state.reference, at)
        if state.state == "paid" and refund.paid_at is None:
            _note(refund, by=Actor.system(), at=at)
        elif refund.paid_at is None and refund.ended_at is None:
            tell(refund, "refund_accepted", at=at)
        _look_after(refund, at)


def look_again(refunds: RefundQuerySet, at: datetime) -> int:
    """There is news of these: the sweep asks for it now. Returns how many are in line."""
    return refunds.pending().filter(next_attempt_at__gt=at).update(next_attempt_at=at)


def say_paid(refund: Refund, *, payment_reference: str, by: Actor, at: datetime) -> bool:
    """Staff have paid it in their payment system, under this number: write it down, and tell the owner.

    The subscription is ended by the sweep. Returns whether anything changed: paid once is paid. Raises `NotApproved`,
    `PaidByItself`, `StaffOnly`, `NoText`, `TextTooLong`.
    """
    staff_member(by, refund.subscription.account_id)
    number = wording(payment_reference, limit=MAX_PAYMENT_REFERENCE)
    if not is_paid_by_staff(refund):
        raise PaidByItself
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund = Refund.objects.locked().get(pk=refund.pk)
        refund.subscription = subscription
        if refund.approved_at is None:
            raise NotApproved
        if refund.paid_at:
            return False
        written_down.record(
            key=refund.reference, amount=refund.cents, currency=refund.currency, reference=number, at=at
        )
        refund.accepted_at = refund.next_attempt_at = at
        refund.save(update_fields=["accepted_at", "next_attempt_at"])
        _note(refund, by=by, at=at)
    return True


def _accept(refund: Refund, reference: str, at: datetime) -> None:
    refund.accepted_at, refund.provider_reference = at, reference
    if reference:
        refund.watched_until = at + MAY_FAIL_FOR
    refund.save(update_fields=["accepted_at", "provider_reference", "watched_until"])
    if reference:
        record(refund, SubscriptionEvent.REFUND_ACCEPTED, by=Actor.system(), at=at)


def _note(refund: Refund, *, by: Actor, at: datetime) -> None:
    """It is paid. Under the locks of account, subscription and refund."""
    refund.paid_at = at
    refund.save(update_fields=["paid_at"])
    record(refund, SubscriptionEvent.REFUND_PAID, by=by, at=at)
    tell(refund, "refund_paid", at=at)


def _look_after(refund: Refund, at: datetime) -> None:
    """When it is looked at next; never again once it is paid and can't fail any more."""
    if refund.watched_until is None:
        return
    if refund.paid_at and refund.watched_until <= at:
        refund.watched_until = None
    changed = ["watched_until"]
    if refund.ended_at:
        # Else its turn goes on: the subscription is ended in it, and should that fail it is noted under its lease.
        refund.attempts, refund.last_error = 0, ""
        refund.next_attempt_at = at + (LOOK_AGAIN if refund.paid_at else LOOK_AGAIN_SOON)
        changed += ["attempts", "last_error", "next_attempt_at"]
    refund.save(update_fields=changed)


def _fail(refund: Refund, failure: str, at: datetime) -> None:
    """The money did not arrive, and is with us again: the request is open again, and everybody knows.

    The subscription stays as it is: ended, if that refund had been accepted. Under the locks of account, subscription
    and refund.
    """
    refund.failed_at, refund.failure, refund.watched_until = at, failure[:MAX_FAILURE] or "unknown", None
    refund.save(update_fields=["failed_at", "failure", "watched_until"])
    record(refund, SubscriptionEvent.REFUND_FAILED, by=Actor.system(), at=at, failure=refund.failure)
    _reopen_request(refund, at)
    tell(refund, "refund_failed", at=at)
    finding.find(
        FAILED,
        provider=refund.subscription.held_by,
        reference=refund.reference,
        account=refund.subscription.account,
        facts={"failure": refund.failure, "cents": refund.cents, "currency": refund.currency},
        at=at,
    )


def _end(refund: Refund, at: datetime) -> bool:
    """End the subscription as decided, in the name of who approved, and close the request. Raises what ending does."""
    with transaction.atomic():
        subscription = locked(refund.subscription)
        refund.refresh_from_db(from_queryset=Refund.objects.locked())
        if refund.ended_at or refund.failed_at:
            return False
        # A charge that is undone is of a subscription that has ended already: who has seen to that has also told it.
        if refund.cause == RefundCause.DECIDED:
            _end_subscription(refund, subscription, at)
        refund.ended_at, refund.last_error = at, ""
        if refund.watched_until:
            refund.next_attempt_at = at + (LOOK_AGAIN if refund.paid_at else LOOK_AGAIN_SOON)
        refund.save(update_fields=["ended_at", "last_error", "next_attempt_at"])
        record(refund, SubscriptionEvent.REFUND_FINISHED, by=Actor.system(), at=at)
        _close_request(refund, at)
    return True


def _end_subscription(refund: Refund, subscription: Subscription, at: datetime) -> None:
    assert refund.approved_by_id is not None
    approver = User.objects.filter(pk=refund.approved_by_id).first()
    by = Actor.staff(approver) if approver else Actor.system()
    if refund.ends == Ends.NOW:
        end_at_once(subscription, at=at, by=by, cause=Cause.REFUND)
    else:
        _cancel(subscription, by=by, at=at)


def _close_request(refund: Refund, at: datetime) -> None:
    if refund.request_id is None:
        return
    request = SupportRequest.objects.select_for_update(no_key=True).open().filter(pk=refund.request_id).first()
    if request:
        conclude(request, outcome=RequestOutcome.REFUNDED, by=Actor.system(), at=at)


def _reopen_request(refund: Refund, at: datetime) -> None:
    """What was asked for is not done: it waits for an answer again. A newer request for a refund stands for both."""
    if refund.request_id is None:
        return
    request = SupportRequest.objects.select_for_update(no_key=True).filter(pk=refund.request_id).first()
    if request is None:
        return
    others = SupportRequest.objects.filter(account=request.account_id, kind=request.kind).exclude(pk=request.pk)
    if request.closed_at and request.kind == RequestKind.REFUND and others.open().exists():
        return
    reopen(request, by=Actor.system(), at=at)


def _cancel(subscription: Subscription, *, by: Actor, at: datetime) -> None:
    try:
        cancel(subscription, by=by, at=at, cause=Cause.REFUND)
    except AlreadyEnded:
        # Ended meanwhile by itself: there is nothing left to end.
        return


SWEEP = sweeps.Sweep("refunds", run=carry_out_due, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    *(
        invariants.Invariant(name, message, violations, example="reference", warning=warning)
        for (name, message, violations, warning) in (
            (
                "refund-unpaid",
                _("refunds that were approved, and should have been paid by now"),
                lambda at: Refund.objects.unpaid().filter(
                    models.Q(~_paid_by_staff(), approved_at__lt=at - OVERDUE)
                    | models.Q(_paid_by_staff(), approved_at__lt=at - BY_HAND_OVERDUE)
                ),
                False,
            ),
            (
                "refund-not-ended",
                _("refunds paid more than 15 minutes ago whose subscription has still not been ended"),
                lambda at: Refund.objects.accepted_but_not_ended().filter(accepted_at__lt=at - OVERDUE),
                False,
            ),
            (
                "refund-to-pay",
                _("refunds that somebody has to pay in the payment system"),
                lambda at: Refund.objects.unpaid().filter(_paid_by_staff()),
                True,
            ),
            (
                "refund-on-the-way",
                _("refunds that a payment provider accepted more than ten days ago, and has still not paid"),
                lambda at: Refund.objects.on_the_way().filter(accepted_at__lt=at - TOO_LONG_ON_THE_WAY),
                True,
            ),
        )
    ),
)
