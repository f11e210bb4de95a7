"""What a row says of a subscription, as the subscription that it means: dates that agree, and nothing to be mailed."""

from dataclasses import dataclass
from datetime import datetime

from subscriptions.ending.cancellation import Cancellation
from subscriptions.ending.reminders import next_reminder
from subscriptions.imports.refusals import refused
from subscriptions.imports.shapes import Terms
from subscriptions.plan import FREE
from subscriptions.subscription import MARKETPLACES, Channel, Subscription


@dataclass(frozen=True)
class Told:
    """A subscription that is not in the database yet, and its cancellation if it was cancelled."""

    subscription: Subscription
    cancellation: Cancellation | None

    @property
    def is_over(self) -> bool:
        return self.subscription.settled_at is not None


def told(terms: Terms, *, at: datetime) -> Told:
    """The subscription, without its account. Raises `RowRefused`.

    The dates are those of the row: cycles go on being counted from where they were counted before. What ended before
    `at` is settled with that, and only reminders that fall due later than `at` will come: nobody gets mail about what
    lies in the past.
    """
    if terms.channel in MARKETPLACES:
        raise refused("marketplace")
    if terms.plan == FREE:
        raise refused("free")
    anchor_at = terms.anchor_at or terms.trial_ends_at or terms.started_at
    _refuse_dates(terms, anchor_at, at)
    subscription = Subscription(
        plan_id=terms.plan,
        channel=terms.channel,
        interval=terms.interval,
        seats=terms.seats,
        cents=terms.cents,
        currency=terms.currency,
        order_reference=terms.order_reference,
        external_id=terms.external_id,
        started_at=terms.started_at,
        trial_ends_at=terms.trial_ends_at,
        anchor_at=anchor_at,
    )
    # As `subscriptions.ending.cancellation.cancel` has it: it takes effect with the cycle in which it was asked for.
    ends_at = terms.ends_at or (subscription.paid_through(terms.cancelled_at) if terms.cancelled_at else None)
    is_over = ends_at is not None and ends_at <= at
    subscription.ends_at = ends_at
    subscription.settled_at = at if is_over else None
    subscription.next_reminder_at = next_reminder(terms.channel, ends_at, at)
    if terms.cancelled_at is None or ends_at is None:
        return Told(subscription, None)
    cancellation = Cancellation(
        subscription=subscription,
        requested_at=terms.cancelled_at,
        reason=terms.cancellation_reason,
        effective_at=ends_at,
        carried_out_at=at if is_over else None,
    )
    return Told(subscription, cancellation)


def _refuse_dates(terms: Terms, anchor_at: datetime, at: datetime) -> None:
    """Dates that contradict each other, or what its channel does (facts/cancelling, 1)."""
    from_sales = terms.channel == Channel.DATADOG_SALES
    if terms.trial_ends_at and terms.trial_ends_at <= terms.started_at:
        raise refused("trial_before_start")
    if terms.trial_ends_at and anchor_at != terms.trial_ends_at:
        raise refused("anchor_not_trial_end")
    if anchor_at < terms.started_at:
        raise refused("anchor_before_start")
    if terms.started_at > at and not from_sales:
        raise refused("starts_ahead")
    if anchor_at > max(at, terms.started_at) and not terms.trial_ends_at:
        raise refused("anchor_ahead")
    if from_sales and terms.cancelled_at:
        raise refused("not_cancelled")
    if from_sales and not terms.ends_at:
        raise refused("no_end")
    if terms.ends_at and terms.ends_at <= terms.started_at:
        raise refused("ends_before_start")
    if terms.cancelled_at and not (
        terms.started_at <= terms.cancelled_at <= min(at, terms.ends_at or terms.cancelled_at)
    ):
        raise refused("cancelled_outside")
