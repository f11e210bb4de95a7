"""What staff say at the desk about the payment system: that they have stopped a renewal, or let it go on again.

Declared in `subscriptions.extension`.
"""

import uuid
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, Values
from subscriptions.billing import by_hand
from subscriptions.billing.by_hand import Said
from subscriptions.billing.wish import Want, Wish


def _of_wish(wish: Wish) -> uuid.UUID:
    return wish.subscription.account_id


def say_stopped(wish: Wish, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    match by_hand.say_done(wish, Want.END, by=by, at=at):
        case Said.TO_BE_CONFIRMED:
            return gettext("Noted. Another person has to confirm that the renewal is stopped.")
        case Said.TO_BE_UNDONE:
            return gettext(
                "The owner keeps the subscription after all. Please let the renewal go on again in the payment system, "
                "and say so here."
            )
    return gettext("The renewal is stopped: nothing more is charged.")


def say_goes_on(wish: Wish, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    match by_hand.say_done(wish, Want.GO_ON, by=by, at=at):
        case Said.TO_BE_CONFIRMED:
            return gettext("Noted. Another person has to confirm that the renewal goes on.")
        case Said.TO_BE_UNDONE:
            return gettext(
                "The subscription is to end after all. Please stop the renewal in the payment system, and say so here."
            )
    return gettext("The renewal goes on.")


ACTIONS = (
    Act(
        "renewal_stopped",
        _("I have stopped the renewal in our payment system"),
        Wish,
        roles.CANCEL,
        say_stopped,
        account_of=_of_wish,
        offered=lambda wish, at: wish.agreed_at is None and wish.want == Want.END,
    ),
    Act(
        "renewal_goes_on",
        _("I have let the renewal go on in our payment system"),
        Wish,
        roles.CANCEL,
        say_goes_on,
        account_of=_of_wish,
        offered=lambda wish, at: wish.agreed_at is None and wish.want == Want.GO_ON,
    ),
)
