"""A customer who was about to be left comes back: whatever they hold again calls off what began when they left.

Only apps above know what that was (a marketplace's offboarding): they declare how it is called off. Every
subscription that starts asks here (`subscriptions.starting.start`), so a contract of the sales team brings a customer
back as a purchase at the marketplace does.
"""

from collections.abc import Callable
from datetime import datetime

from accounts.core.registry import Registry, function_name
from accounts.customers.history import Actor
from accounts.models import Account

#: Calls off what was begun when the customer left. Returns whether there was anything. Raises `scheduling.TooLate`.
CallOff = Callable[[Account, datetime, Actor], bool]
DEPARTURES: Registry[CallOff] = Registry(key=function_name)


def come_back(account: Account, *, at: datetime, by: Actor) -> bool:
    """Call off all that was begun when the customer left, in the caller's transaction. Whether there was anything.

    What the customer asked for themselves, a deletion, stands. Raises `scheduling.TooLate` once the erasing has begun.
    """
    called_off = [call_off(account, at, by) for call_off in DEPARTURES.all()]
    return any(called_off)
