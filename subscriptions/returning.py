"""A customer who was about to be left comes back: whatever they hold again calls off what began when they left.

Only apps above know what that was (a marketplace's offboarding): they register how it is called off. Every
subscription that starts asks here (`subscriptions.starting.start`), so a contract of the sales team brings a customer
back as a purchase at the marketplace does.
"""

from collections.abc import Callable
from datetime import datetime

from accounts.customers.history import Actor
from accounts.models import Account

#: Calls off what was begun when the customer left. Returns whether there was anything. Raises `purge.TooLate`.
CallOff = Callable[[Account, datetime, Actor], bool]
_departures: list[CallOff] = []


def register_departure(call_off: CallOff) -> None:
    """Say how something that begins when a customer leaves is called off. Called once, from `AppConfig.ready`."""
    _departures.append(call_off)


def come_back(account: Account, *, at: datetime, by: Actor) -> bool:
    """Call off all that was begun when the customer left, in the caller's transaction. Whether there was anything.

    What the customer asked for themselves, a deletion, stands. Raises `purge.TooLate` once the erasing has begun.
    """
    called_off = [call_off(account, at, by) for call_off in _departures]
    return any(called_off)
