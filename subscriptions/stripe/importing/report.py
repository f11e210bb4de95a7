"""What an import is told to do, and what it says of each subscription at Stripe."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Under which a customer's metadata name its account, unless the command says otherwise.
ACCOUNT_KEY = "offboard_account"


class Why(StrEnum):
    """What became of a subscription at Stripe."""

    LINKED = "linked"
    UNCHANGED = "unchanged"
    #: Written down for history.
    HISTORY = "history"
    ENDED = "ended"
    NOT_BEGUN = "not begun"
    NOBODY = "nobody"
    AMBIGUOUS = "ambiguous"
    TWO_LIVE = "two live"
    #: The account's own subscription is cancelled, paid back or to be erased: staff decide what goes on.
    LEAVING = "leaving here"
    #: Over, and another one is known to have run at the same time.
    OVERLAPS = "overlaps"
    UNKNOWN_PRICE = "unknown price"
    INTERVAL = "unsupported interval"
    CURRENCY = "currency"
    METERED = "metered"
    TIERED = "tiered"
    #: A price by the package, or in fractions of a cent.
    NO_AMOUNT = "no amount for a seat"
    NO_SEATS = "no seats"
    ITEMS = "several items"
    UNREADABLE = "unreadable"
    TEST_CLOCK = "test clock"
    WRONG_MODE = "wrong mode"


#: What else staff should know of one that is linked.
PAST_DUE, UNPAID, PAUSED = "past_due", "unpaid", "paused"
CANCELLING, TRIAL, SCHEDULE, REPLACED = "cancelling", "trial", "has schedule", "replaced"
#: Its renewal is not stopped by the import; the erasing ends it (`subscriptions.stripe.forgetting`).
TO_BE_DELETED = "to be deleted"


@dataclass(frozen=True)
class Options:
    """What the command was told to do, as of `at`."""

    at: datetime
    #: Do it; else only say what would be done.
    apply: bool
    account_key: str = ACCOUNT_KEY
    #: End an account's own recorded or demo subscription where Stripe has one.
    replace: bool = False
    #: Write down what has ended there, for history.
    ended: bool = False


@dataclass(frozen=True)
class Imported:
    """One line of the report."""

    subscription: str
    customer: str
    why: Why
    account_id: uuid.UUID | None = None
    notes: tuple[str, ...] = ()
