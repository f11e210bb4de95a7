"""Staff say that they have done in the payment system what was wished of it.

Where nobody is connected that is the way, and one person is enough. Where a provider agrees by itself it is the way out
when it can't be reached for good, and takes two: the first says so, another one confirms it.
"""

from datetime import datetime
from enum import Enum

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, staff_member
from subscriptions.billing.provider import provider_of
from subscriptions.billing.wish import Outcome, Want, Wish
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.subscription import Subscription, locked_in_order


class NothingToDo(Refused):
    text = _("This has been agreed already: there is nothing to be done in the payment system.")


class Said(Enum):
    """What came of what staff said."""

    #: It is agreed.
    DONE = "done"
    #: Another person has to confirm it.
    TO_BE_CONFIRMED = "to_be_confirmed"
    #: The owner has changed their mind meanwhile: what was done has to be undone, and that is wished now.
    TO_BE_UNDONE = "to_be_undone"


def say_done(wish: Wish, want: Want, *, by: Actor, at: datetime) -> Said:
    """Staff have done in the payment system what is wanted. The wish is agreed by that.

    Raises `NeedsAnotherPerson` for the first of two again, `NothingToDo`, `StaffOnly`, `OwnAccount`.
    """
    staff = staff_member(by, wish.subscription.account_id)
    with transaction.atomic():
        subscription = locked_in_order(wish.subscription)
        wish = Wish.objects.locked().get(pk=wish.pk)
        if wish.want != want:
            return _contradict(wish, at)
        if wish.agreed_at:
            raise NothingToDo
        if provider_of(subscription).stops_by_itself:
            if wish.done_by_id is None:
                wish.done_by = staff
                wish.save(update_fields=["done_by"])
                return Said.TO_BE_CONFIRMED
            if wish.done_by_id == staff.pk:
                raise NeedsAnotherPerson
            wish.confirmed_by = staff
        else:
            wish.done_by = staff
        _agree(wish, subscription, by=by, at=at)
    return Said.DONE


def _agree(wish: Wish, subscription: Subscription, *, by: Actor, at: datetime) -> None:
    wish.agreed_at, wish.outcome, wish.answer, wish.last_error = max(at, wish.wished_at), Outcome.AGREED, {}, ""
    wish.sent_version = wish.version
    wish.save()
    ends = wish.want == Want.END
    history.record(
        subscription.account_id,
        SubscriptionEvent.BILLING_STOPPED if ends else SubscriptionEvent.BILLING_GOES_ON,
        at=at,
        by=by,
        subscription=subscription.pk,
        version=wish.version,
        outcome=wish.outcome,
    )


def _contradict(wish: Wish, at: datetime) -> Said:
    """They have done the opposite of what is wanted by now. What was taken as agreed unasked is open again."""
    if wish.agreed_at and wish.answer.get("asked") is not False:
        raise NothingToDo
    if wish.agreed_at:
        wish.agreed_at, wish.outcome, wish.answer = None, "", {}
    wish.next_attempt_at, wish.sent_version = at, wish.version
    wish.save(update_fields=["agreed_at", "outcome", "answer", "next_attempt_at", "sent_version"])
    return Said.TO_BE_UNDONE
