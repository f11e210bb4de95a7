"""Reading what Stripe says, leniently: its objects in our words.

Objects come in the version that the client pins; events may come in any. So both shapes of what has moved are read: the
period stands on items since 2025, on the subscription before (docs.stripe.com/changelog/basil). What is not needed is
left aside; a subscription without its customer, its status or its period is no answer at all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from accounts.core import currencies, foreign_input
from subscriptions.billing.holding import MAX_REFERENCE, MAX_STATUS_WORD, AskedBy, Held, HeldStatus
from subscriptions.ending.cancellation import MAX_COMMENT, Reason
from subscriptions.plan import Interval
from subscriptions.stripe.price import MAX_LOOKUP_KEY, StripePrice, Unmapped

CODE = "stripe"

#: What each of Stripe's statuses means for access (docs.stripe.com/billing/subscriptions/overview).
STATUSES = {
    "incomplete": HeldStatus.NOT_BEGUN,
    "incomplete_expired": HeldStatus.NOT_BEGUN,
    "trialing": HeldStatus.LIVE,
    "active": HeldStatus.LIVE,
    "past_due": HeldStatus.LATE,
    "unpaid": HeldStatus.SUSPENDED,
    "paused": HeldStatus.SUSPENDED,
    "canceled": HeldStatus.ENDED,
}
#: What owners say on Stripe's page, in our words.
FEEDBACK = {
    "too_expensive": Reason.TOO_EXPENSIVE,
    "missing_features": Reason.MISSING_FEATURES,
    "switched_service": Reason.SWITCHED,
    "unused": Reason.UNUSED,
    "too_complex": Reason.TOO_COMPLEX,
    "low_quality": Reason.QUALITY,
    "customer_service": Reason.SUPPORT,
    "other": Reason.OTHER,
}
#: Who ended it, by Stripe's reason; `cancellation_requested` alone says nothing.
ENDED_BY = {
    "payment_failed": AskedBy.UNPAID,
    "payment_disputed": AskedBy.CHARGED_BACK,
    "canceled_by_retention_policy": AskedBy.PROVIDER,
}


class UnreadableAnswer(ValueError):
    """What is needed is missing. The message names it."""


class NotOurs(Exception):
    """A subscription that is none of our plans. `why` is a code: of its price, or of its items."""

    def __init__(self, why: str, prices: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.why, self.prices = why, prices


@dataclass(frozen=True)
class Item:
    """A line of a subscription."""

    price: Mapping[str, Any]
    quantity: int
    period_started_at: datetime | None
    period_ends_at: datetime | None

    @property
    def price_reference(self) -> str:
        return reference(self.price)


@dataclass(frozen=True)
class Said:
    """A subscription as Stripe says it; instants in UTC, to the second."""

    reference: str
    customer_reference: str
    livemode: bool
    status: str
    items: tuple[Item, ...]
    created_at: datetime
    started_at: datetime
    trial_ends_at: datetime | None
    cancel_at: datetime | None
    cancels_with_period: bool
    canceled_at: datetime | None
    ended_at: datetime | None
    reason: str
    feedback: str
    comment: str
    paused_collection: str
    resumes_at: datetime | None
    is_test_clock: bool


def read_subscription(said: Mapping[str, Any]) -> Said:
    """A subscription. Raises `UnreadableAnswer`."""
    status = _text(said.get("status"), MAX_STATUS_WORD)
    who, whose = reference(said), reference(said.get("customer"))
    if not who or not whose or not status:
        raise UnreadableAnswer(f"A subscription without {'id' if not who else 'customer or status'}.")
    created_at = instant(said.get("created")) or instant(said.get("start_date"))
    if created_at is None:
        raise UnreadableAnswer(f"{who} does not say when it began.")
    details, paused = _object(said.get("cancellation_details")), _object(said.get("pause_collection"))
    return Said(
        reference=who,
        customer_reference=whose,
        livemode=said.get("livemode") is True,
        status=status,
        items=tuple(_items(said)),
        created_at=created_at,
        started_at=instant(said.get("start_date")) or created_at,
        trial_ends_at=instant(said.get("trial_end")),
        cancel_at=instant(said.get("cancel_at")),
        cancels_with_period=said.get("cancel_at_period_end") is True,
        canceled_at=instant(said.get("canceled_at")),
        ended_at=instant(said.get("ended_at")),
        reason=_text(details.get("reason"), 60),
        feedback=_text(details.get("feedback"), 60),
        comment=_comment(details.get("comment")),
        paused_collection=_text(paused.get("behavior"), 40),
        resumes_at=instant(paused.get("resumes_at")),
        is_test_clock=bool(reference(said.get("test_clock"))),
    )


def held(
    said: Said, prices: Mapping[str, StripePrice], *, read_at: datetime, first_paid_at: datetime | None = None
) -> Held:
    """The same as the port says it. `prices`: those that we know, by Stripe's id.

    Raises `NotOurs` unless it is one item at a price that buys one of our plans, and `UnreadableAnswer` without a
    period: a missing one must never be taken for none.
    """
    if len(said.items) != 1:
        raise NotOurs("items", tuple(item.price_reference for item in said.items))
    item = said.items[0]
    price = prices.get(item.price_reference)
    if price is None or not price.is_mapped:
        raise NotOurs(price.unmapped_because if price else Unmapped.NO_PLAN, (item.price_reference,))
    if not item.quantity:
        raise NotOurs("quantity", (item.price_reference,))
    assert price.plan_id is not None
    assert price.interval is not None
    assert price.cents is not None
    status = STATUSES.get(said.status)
    if status is None:
        raise UnreadableAnswer(f"{said.reference} has the status {said.status}, which is not known here.")
    started, ends = item.period_started_at, item.period_ends_at
    if started is None or ends is None or ends <= started:
        raise UnreadableAnswer(f"{said.reference} does not say which period it is in.")
    suspended_at = suspended_until = None
    if status in (HeldStatus.LIVE, HeldStatus.LATE) and said.paused_collection == "void":
        # No service from the end of what was paid on; the other ways of not collecting mean that it is free for now.
        suspended_at, suspended_until = ends if said.status == "active" else started, said.resumes_at
        if suspended_until is not None and suspended_until <= suspended_at:
            suspended_at = suspended_until = None
    due_end_at = said.cancel_at or (ends if said.cancels_with_period else None)
    return Held(
        provider=CODE,
        reference=said.reference,
        customer_reference=said.customer_reference,
        plan_code=price.plan_id,
        interval=price.interval,
        seats=min(item.quantity, foreign_input.MAX_SEATS),
        cents=price.cents,
        currency=price.currency,
        started_at=said.started_at,
        trial_ends_at=said.trial_ends_at,
        period_started_at=started,
        period_ends_at=ends,
        status=status,
        status_word=said.status,
        due_end_at=due_end_at if status is not HeldStatus.ENDED else None,
        asked_to_end_at=said.canceled_at,
        asked_by=_asked_by(said),
        feedback=FEEDBACK.get(said.feedback, Reason.OTHER).value if said.feedback else "",
        comment=said.comment,
        ended_at=(said.ended_at or said.canceled_at or read_at) if status is HeldStatus.ENDED else None,
        first_paid_at=first_paid_at,
        suspended_at=suspended_at,
        suspended_until=suspended_until,
        read_at=read_at,
    )


def _asked_by(said: Said) -> AskedBy | str:
    """Who asked: a reason is given on Stripe's page for customers alone; software and staff give none."""
    if by := ENDED_BY.get(said.reason):
        return by
    if said.cancel_at is None and not said.cancels_with_period and said.ended_at is None:
        return ""
    return AskedBy.OWNER if said.feedback else AskedBy.STAFF


def read_price(said: Mapping[str, Any], known: StripePrice | None, *, at: datetime) -> StripePrice:
    """A price, and what plan it buys by what is known. Not saved. Raises `UnreadableAnswer`.

    Its product says a plan where it comes expanded; else what it said before stands.
    """
    who = reference(said)
    if not who:
        raise UnreadableAnswer("A price without id.")
    price = known or StripePrice(reference=who)
    product = said.get("product")
    price.lookup_key = _text(said.get("lookup_key"), MAX_LOOKUP_KEY)
    price.product = reference(product)
    if isinstance(product, Mapping):
        price.product_says = _text(_object(product.get("metadata")).get("offboard_plan"), 100)
    price.active = said.get("active") is True
    price.currency = _text(said.get("currency"), 3).upper()
    price.cents = foreign_input.quantity(said.get("unit_amount"), most=foreign_input.MAX_CENTS)
    recurring = _object(said.get("recurring"))
    price.interval = _interval(recurring)
    price.read_at = at
    price.map_by_itself(_unfit(price, said, recurring))
    return price


def _unfit(price: StripePrice, said: Mapping[str, Any], recurring: Mapping[str, Any]) -> Unmapped | None:
    """Why it can't buy any plan of ours, whatever anybody says."""
    if not recurring:
        return Unmapped.NOT_RECURRING
    if price.interval is None:
        return Unmapped.INTERVAL
    if recurring.get("usage_type") == "metered":
        return Unmapped.METERED
    if price.cents is None or said.get("billing_scheme") == "tiered" or said.get("transform_quantity"):
        return Unmapped.NO_AMOUNT
    if not currencies.is_known(price.currency):
        return Unmapped.CURRENCY
    return None


def _interval(recurring: Mapping[str, Any]) -> int | None:
    match recurring.get("interval"), recurring.get("interval_count", 1):
        case ("month", 1):
            return Interval.MONTHLY.value
        case ("month", 12) | ("year", 1):
            return Interval.ANNUAL.value
    return None


#: A customer's id, by itself and as JSON has it. Stripe's are no longer.
_CUSTOMER_ID = re.compile(r"cus_[0-9A-Za-z]{1,36}")
_CUSTOMER = re.compile(rb'(?<!\\)"(cus_[0-9A-Za-z]{1,36})"')


def customers_in(event: Mapping[str, Any]) -> list[str]:
    """Stripe's ids of all customers that an event names, wherever in it they stand: by them a purge finds it."""
    found: set[str] = set()
    left: list[Any] = [event]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, str) and _CUSTOMER_ID.fullmatch(value):
            found.add(value)
    return sorted(found)


def customers_named(body: bytes, event: Mapping[str, Any]) -> list[str]:
    """As `customers_in`, of an event whose text is at hand: that is looked through many times as quickly."""
    if b"\\u" in body:
        # A name could be written otherwise than it is.
        return customers_in(event)
    return sorted({name.decode() for name in _CUSTOMER.findall(body)})


# Values


def instant(seconds: object) -> datetime | None:
    """Stripe counts whole seconds since 1970, UTC. None for what is no instant, or in a year that can't be meant."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds < 2**40:
        return None
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return at if foreign_input.is_within_years(at) else None


def reference(thing: object) -> str:
    """The id of what is an id, or an object that was expanded; empty for neither."""
    if isinstance(thing, Mapping):
        thing = thing.get("id")
    return _text(thing, MAX_REFERENCE)


def listed(value: object) -> list[Mapping[str, Any]]:
    """What stands in a list object."""
    found = _object(value).get("data")
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _items(said: Mapping[str, Any]) -> Iterator[Item]:
    for item in listed(said.get("items")):
        price = item.get("price")
        quantity = item.get("quantity", 1)
        yield Item(
            price=price if isinstance(price, Mapping) else {"id": price},
            quantity=foreign_input.quantity(quantity, most=2**53) or 0,
            period_started_at=instant(item.get("current_period_start") or said.get("current_period_start")),
            period_ends_at=instant(item.get("current_period_end") or said.get("current_period_end")),
        )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object, limit: int) -> str:
    return foreign_input.name_told(value, limit=limit)


def _comment(value: object) -> str:
    return foreign_input.lines(value)[:MAX_COMMENT].replace("\x00", "") if isinstance(value, str) else ""
