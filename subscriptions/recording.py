"""A direct subscription, written down by staff: somebody bought it from us, and no payment system has told us so.

The customer pays by invoice, or in a system that does not speak to this one. What the vendor's own billing records
over the API is told by it (`subscriptions.api.subscriptions`); a contract with an end is the sales team's
(`subscriptions.contracts`).
"""

from datetime import datetime

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.foreign_input import MAX_CENTS, MAX_SEATS, is_within_years
from accounts.core.formats import day
from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers.history import Actor
from accounts.customers.staff import staff_member
from accounts.mail import notices
from accounts.models import Account
from accounts.support import deletion
from subscriptions.plan import CURRENCY, Interval, Plan
from subscriptions.starting import start
from subscriptions.subscription import MAX_ORDER_REFERENCE, Channel, Subscription


class WrongPurchase(Refused):
    """A start, a price or a number of seats that can't be."""


class DeletionStands(Refused):
    """The customer has asked for deletion, and that stands: a subscription would keep what they want gone."""

    text = _(
        "The owner has asked for this account to be deleted, and that is due on %(due)s. Call the deletion off first, "
        "if they want the subscription instead."
    )


class AnotherHolds(Refused):
    """Two at a time. A direct subscription has no end, so one that begins later is in its way, too."""

    def __init__(self, other: Subscription) -> None:
        super().__init__(
            IN_THE_WAY[other.channel], channel=other.get_channel_display(), start=f"{other.started_at:%Y-%m-%d}"
        )
        self.other = other


_SOLD_THERE = _(
    "The account has a subscription bought through %(channel)s (from %(start)s). It ends there: a direct one can begin "
    "when it has."
)
IN_THE_WAY: dict[str, Promise] = {
    Channel.DATADOG_SALES: _(
        "The account has a contract (from %(start)s). A direct subscription can begin at the instant at which it ends."
    ),
    Channel.DIRECT: _(
        "The account has a direct subscription already (from %(start)s). Change that one, or have it cancelled: "
        "another can begin at the instant at which it ends."
    ),
    Channel.AWS_MARKETPLACE: _SOLD_THERE,
    Channel.GITHUB_MARKETPLACE: _SOLD_THERE,
}


def record(
    account: Account,
    *,
    plan: Plan,
    interval: Interval,
    seats: int,
    starts_at: datetime,
    by: Actor,
    at: datetime,
    cents: int | None = None,
    order_reference: str = "",
) -> tuple[Subscription, bool]:
    """Write down that `account` bought `plan` from us, from `starts_at` on, and tell the owner.

    `cents` is the price of one seat and cycle; by default the list price. It may begin later, or have begun before it
    was written down: then its cycles count from there. Returns it, and whether it is new: the same purchase from the
    same instant is the first one again. Raises `AnotherHolds`, `DeletionStands`, `WrongPurchase`, `NoListPrice`,
    `NotSold`, `TextTooLong`, `StaffOnly`, and `BeingErased`.
    """
    staff_member(by, account.pk)
    reference = wording(order_reference, limit=MAX_ORDER_REFERENCE) if order_reference.strip() else ""
    if not 1 <= seats <= MAX_SEATS or (cents is not None and not 0 <= cents <= MAX_CENTS):
        raise WrongPurchase(_("A subscription has at least one seat, and a price that is not below zero."))
    if not is_within_years(starts_at):
        raise WrongPurchase(_("A subscription can't begin in such a year."))
    with transaction.atomic():
        account = Account.objects.locked(account.pk)
        there = Subscription.objects.of(account).holding(at).filter(channel=Channel.DIRECT, started_at=starts_at)
        same = there.filter(plan=plan, interval=interval, seats=seats, order_reference=reference).first()
        if same and cents in (None, same.cents):
            return same, False
        if purge := deletion.scheduled(account):
            raise DeletionStands(due=day(purge.due_at))
        # Without an end of its own it is in the way of all that is live then, or begins later.
        if other := Subscription.objects.of(account).holding(starts_at).order_by("started_at").first():
            raise AnotherHolds(other)
        made = start(
            account,
            plan=plan,
            channel=Channel.DIRECT,
            interval=interval,
            seats=seats,
            cents=cents,
            currency=CURRENCY,
            starts_at=starts_at,
            order_reference=reference,
            by=by,
            at=at,
        )
        notices.queue(
            "subscriptions/subscription_recorded",
            to=[account.owner()],
            account=account,
            occasion=f"recorded:{made.pk}",
            at=at,
            plan=plan.name,
            interval=int(interval),
            seats=seats,
            total_cents=made.total_cents,
            currency=made.currency,
            order_reference=reference,
            starts_at=starts_at,
        )
    return made, True
