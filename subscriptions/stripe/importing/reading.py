"""What a subscription at Stripe is: put aside if it could be taken over, else the reason why nobody can have it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from accounts.core import foreign_input
from subscriptions.billing.holding import HeldStatus
from subscriptions.stripe.importing.report import (
    CANCELLING,
    PAST_DUE,
    PAUSED,
    SCHEDULE,
    TRIAL,
    UNPAID,
    Imported,
    Options,
    Why,
)
from subscriptions.stripe.importing.spool import Noted, Spool
from subscriptions.stripe.payloads import NotOurs, Said, UnreadableAnswer, held, read_subscription, reference
from subscriptions.stripe.price import StripePrice, Unmapped

_BY_PRICE: dict[str, Why] = {
    Unmapped.INTERVAL: Why.INTERVAL,
    Unmapped.CURRENCY: Why.CURRENCY,
    Unmapped.METERED: Why.METERED,
    Unmapped.NO_AMOUNT: Why.NO_AMOUNT,
    "items": Why.ITEMS,
    "quantity": Why.NO_SEATS,
}


def put_aside(
    raw: Mapping[str, Any], prices: Mapping[str, StripePrice], spool: Spool, options: Options
) -> Imported | None:
    """Keep what could be taken over; the line of what can't be, whoever's it is."""
    number, customer = reference(raw), reference(raw.get("customer"))
    try:
        said = read_subscription(raw)
        if why := _of_another_world(said):
            return Imported(number, customer, why)
        found = held(said, prices, read_at=options.at)
    except UnreadableAnswer:
        return Imported(number, customer, Why.UNREADABLE)
    except NotOurs as refused:
        return Imported(number, customer, _unfit(refused, raw))
    if found.status == HeldStatus.NOT_BEGUN:
        return Imported(number, customer, Why.NOT_BEGUN)
    over = found.status == HeldStatus.ENDED
    if over and not options.ended:
        return Imported(number, customer, Why.ENDED)
    there = raw.get("customer")
    there = there if isinstance(there, Mapping) else {}
    metadata = there.get("metadata")
    told = metadata.get(options.account_key) if isinstance(metadata, Mapping) else None
    spool.keep(
        Noted(found, said.livemode, () if over else _notes(said, raw, options.at), over),
        account=foreign_input.name_told(told, limit=100),
        email=foreign_input.address_as_kept(foreign_input.name_told(there.get("email"), limit=254)),
    )
    return None


def _of_another_world(said: Said) -> Why | None:
    """Of the other mode's money, or of a clock that somebody moves: its dates are none of ours."""
    if said.livemode != settings.STRIPE_LIVEMODE:
        return Why.WRONG_MODE
    return Why.TEST_CLOCK if said.is_test_clock else None


def _unfit(refused: NotOurs, raw: Mapping[str, Any]) -> Why:
    why = _BY_PRICE.get(refused.why, Why.UNKNOWN_PRICE)
    return Why.TIERED if why == Why.NO_AMOUNT and _is_tiered(raw) else why


def _is_tiered(raw: Mapping[str, Any]) -> bool:
    return any(item.price.get("billing_scheme") == "tiered" for item in read_subscription(raw).items)


def _notes(said: Said, raw: Mapping[str, Any], at: datetime) -> tuple[str, ...]:
    notes = {
        PAST_DUE: said.status == "past_due",
        UNPAID: said.status == "unpaid",
        PAUSED: said.status == "paused" or bool(said.paused_collection),
        CANCELLING: bool(said.cancel_at or said.cancels_with_period),
        TRIAL: bool(said.trial_ends_at and said.trial_ends_at > at),
        SCHEDULE: bool(raw.get("schedule")),
    }
    return tuple(note for note, holds in notes.items() if holds)
