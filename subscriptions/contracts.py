"""Contracts sold by the sales team: entered, extended and renewed by support staff. They end by themselves.

A contract is a subscription with an end and an order reference. It is renewed by another one that begins at the very
instant at which it ends: no gap, and no end that anybody notices. Two at a time are refused here with words, and by the
database in any case.
"""

from datetime import datetime

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.foreign_input import MAX_CENTS, MAX_SEATS, is_within_years
from accounts.core.formats import day
from accounts.core.refusal import Refused
from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.customers.staff import staff_member
from accounts.mail import notices
from accounts.models import Account
from accounts.support import deletion
from subscriptions.ending.reminders import set_end
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.plan import Interval, Plan
from subscriptions.starting import start
from subscriptions.subscription import MAX_ORDER_REFERENCE, Channel, Subscription, locked


class NotAContract(Refused):
    text = _("This subscription is no contract of the sales team.")


class Over(Refused):
    text = _("This contract is over. Enter a new one.")


class WrongTerms(Refused):
    """A period, a price or a number of seats that can't be."""


class ToBeErased(Refused):
    """The customer has asked for deletion, and that stands: a contract would keep what they want gone."""

    text = _(
        "The owner has asked for this account to be deleted, and that is due on %(due)s. Call the deletion off first, "
        "if they want the contract instead."
    )


class Overlapping(Refused):
    """Two at a time. Says how one follows the other without a gap: ending the first one would make one."""

    def __init__(self, other: Subscription) -> None:
        super().__init__(
            IN_THE_WAY[other.channel], channel=other.get_channel_display(), start=f"{other.started_at:%Y-%m-%d}"
        )
        self.other = other


IN_THE_WAY: dict[str, Promise] = {
    Channel.DATADOG_SALES: _(
        "In that time the account has another contract (from %(start)s). Renew that one: then the new contract begins "
        "at the instant at which it ends, without a gap."
    ),
    Channel.DIRECT: _(
        "In that time the account has a direct subscription (from %(start)s). Have it cancelled: it ends with its "
        "cycle, and the contract can begin at that instant."
    ),
    Channel.AWS_MARKETPLACE: _(
        "In that time the account has a subscription bought through %(channel)s (from %(start)s). It ends there: the "
        "contract can begin when it has."
    ),
    Channel.GITHUB_MARKETPLACE: _(
        "In that time the account has a subscription bought through %(channel)s (from %(start)s). It ends there: the "
        "contract can begin when it has."
    ),
}


def enter(
    account: Account,
    *,
    plan: Plan,
    starts_at: datetime,
    ends_at: datetime,
    seats: int,
    order_reference: str,
    by: Actor,
    at: datetime,
    cents: int | None = None,
) -> tuple[Subscription, bool]:
    """Write down a contract, from `starts_at` up to, not including, `ends_at`, and tell the owner.

    `cents` is the price of one seat and year; by default the list price. It may begin later, or have begun before it
    was entered. Returns it, and whether it is new: the same order for the same time is the first one again. A customer
    whom a marketplace said to have left is back with it: nothing is erased (`subscriptions.channels.returning`). Raises
    `Overlapping`, `ToBeErased`, `WrongTerms`, `StaffOnly`, `NoText`, `TextTooLong`, `BeingErased`.
    """
    staff_member(by, account.pk)
    reference = wording(order_reference, limit=MAX_ORDER_REFERENCE)
    _refuse_terms(seats, cents, ends_at)
    if ends_at <= max(starts_at, at):
        raise WrongTerms(_("A contract has to end after it begins, and later than now."))
    with transaction.atomic():
        account = Account.objects.locked(account.pk)
        entered = Subscription.objects.of(account).ordered_as(reference)
        if same := entered.filter(started_at=starts_at, ends_at=ends_at).first():
            return same, False
        _refuse_if_to_be_erased(account)
        _refuse_overlap(account, starts_at, ends_at)
        contract = start(
            account,
            plan=plan,
            channel=Channel.DATADOG_SALES,
            interval=Interval.ANNUAL,
            seats=seats,
            cents=cents,
            starts_at=starts_at,
            ends_at=ends_at,
            order_reference=reference,
            event=SubscriptionEvent.CONTRACT_ENTERED,
            by=by,
            at=at,
        )
        _tell(contract, "contract_entered", at=at)
    return contract, True


def extend(contract: Subscription, *, ends_at: datetime, by: Actor, at: datetime) -> bool:
    """Let a contract end later, and tell the owner; reminders start anew. Returns whether anything changed.

    Raises `WrongTerms` for an end that is not later, `Over`, `ToBeErased`, `Overlapping`, `NotAContract`, `StaffOnly`.
    """
    staff_member(by, contract.account_id)
    _refuse_terms(None, None, ends_at)
    with transaction.atomic():
        contract, before = _running(contract, at)
        if ends_at == before:
            return False
        if ends_at < before:
            raise WrongTerms(_("The new end is not later than the present one. To end it sooner, end it now."))
        _refuse_if_to_be_erased(contract.account)
        _refuse_overlap(contract.account, before, ends_at)
        set_end(contract, ends_at, at=at)
        history.record(
            contract.account_id,
            SubscriptionEvent.CONTRACT_EXTENDED,
            at=at,
            by=by,
            subject=contract,
            subscription=contract.pk,
            ends_at=ends_at.isoformat(),
            ended_before_at=before.isoformat(),
        )
        _tell(contract, "contract_extended", at=at)
    return True


def renew(
    contract: Subscription,
    *,
    ends_at: datetime,
    order_reference: str,
    by: Actor,
    at: datetime,
    plan: Plan | None = None,
    seats: int | None = None,
    cents: int | None = None,
) -> tuple[Subscription, bool]:
    """Let another contract begin at the instant at which this one ends, and tell the owner.

    What is not said stays as it is, the price too. Returns the new one, and whether it is new: renewing again with the
    same order and end is the first time again. Nobody is reminded of the old one's end any more. Raises `Over`,
    `ToBeErased`, `WrongTerms`, `Overlapping`, `NotAContract`, `StaffOnly`, `NoText`, `TextTooLong`.
    """
    staff_member(by, contract.account_id)
    reference = wording(order_reference, limit=MAX_ORDER_REFERENCE)
    _refuse_terms(seats, cents, ends_at)
    with transaction.atomic():
        contract, starts_at = _running(contract, at)
        following = contract.successor
        if following and (following.order_reference, following.ends_at) == (reference, ends_at):
            return following, False
        if ends_at <= starts_at:
            raise WrongTerms(_("The new contract has to end after the old one."))
        _refuse_if_to_be_erased(contract.account)
        _refuse_overlap(contract.account, starts_at, ends_at)
        renewed = start(
            contract.account,
            plan=plan or contract.plan,
            channel=Channel.DATADOG_SALES,
            interval=Interval(contract.interval),
            seats=contract.seats if seats is None else seats,
            cents=contract.cents if cents is None else cents,
            starts_at=starts_at,
            ends_at=ends_at,
            order_reference=reference,
            event=SubscriptionEvent.CONTRACT_RENEWED,
            by=by,
            at=at,
        )
        contract.next_reminder_at = None
        contract.save(update_fields=["next_reminder_at"])
        _tell(renewed, "contract_renewed", at=at)
    return renewed, True


def _running(contract: Subscription, at: datetime) -> tuple[Subscription, datetime]:
    """The contract as it is now and its end, locked after its account. One that has not begun yet is running, too."""
    contract = locked(contract)
    if contract.channel != Channel.DATADOG_SALES or contract.ends_at is None:
        raise NotAContract
    if contract.settled_at or contract.ends_at <= at:
        raise Over
    return contract, contract.ends_at


def _refuse_terms(seats: int | None, cents: int | None, ends_at: datetime) -> None:
    if (seats is not None and not 1 <= seats <= MAX_SEATS) or (cents is not None and not 0 <= cents <= MAX_CENTS):
        raise WrongTerms(_("A contract has at least one seat, and a price that is not below zero."))
    if not is_within_years(ends_at):
        raise WrongTerms(_("A contract can't end in such a year. Renew it when its end has come near."))


def _refuse_if_to_be_erased(account: Account) -> None:
    if purge := deletion.scheduled(account):
        raise ToBeErased(due=day(purge.due_at))


def _refuse_overlap(account: Account, starts_at: datetime, ends_at: datetime) -> None:
    if other := Subscription.objects.of(account).overlapping(starts_at, ends_at).order_by("started_at").first():
        raise Overlapping(other)


def _tell(contract: Subscription, kind: str, *, at: datetime) -> None:
    assert contract.ends_at is not None
    notices.queue(
        f"subscriptions/{kind}",
        to=[contract.account.owner()],
        account=contract.account,
        # The end is part of the occasion: a contract can be extended more than once.
        occasion=f"{kind}:{contract.pk}:{contract.ends_at:%Y%m%dT%H%M%S}",
        at=at,
        plan=contract.plan.name,
        seats=contract.seats,
        order_reference=contract.order_reference,
        starts_at=contract.started_at,
        ends_at=contract.ends_at,
    )
