"""Who tells us something: each sender is declared by the app that understands it (`Extension.inbox_sources`).

The inbox knows none of them. It stores what a source's view accepts, has the source's own function process it, counts
what that view refuses, and empties bodies when their time is over.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.utils.functional import Promise

from accounts.core.registry import Registry

if TYPE_CHECKING:
    from accounts.inbox.delivery import Delivery, DeliveryOutcome

#: As long as a source's name, and a mode of it, may be.
LONGEST = 40

#: Processes a delivery inside the inbox's transaction, makes no calls to elsewhere, and says what came of it. Raises
#: `Unprocessable` for what staff must look at; whatever else it raises is tried again later.
Handler = Callable[["Delivery", datetime], "DeliveryOutcome"]


@dataclass(frozen=True)
class InboxSource:
    """One sender. Its view checks each message and calls `inbox.accept` or `refused_messages.note` with this."""

    #: Stored with every delivery: never given to another one.
    name: str
    label: str | Promise
    handle: Handler
    #: The name of its view's route, without parameters: answered before the middleware of pages.
    door: str = ""
    #: Whose secret signed, where a sender keeps tests apart from what is real; the empty one is real.
    modes: type[models.TextChoices] | None = None
    #: Why its view refuses messages.
    refusals: type[models.TextChoices] | None = None
    #: For so many days a raw body is kept; None: as `DELIVERY_BODY_DAYS` says for all.
    body_days: int | None = None


SOURCES: Registry[InboxSource] = Registry()

#: What a form or a list offers: a stored value and its words.
Choices = list[tuple[str, str | Promise]]


def names() -> list[str]:
    return [source.name for source in SOURCES.all()]


def source_choices() -> Choices:
    return [(source.name, source.label) for source in SOURCES.all()]


def mode_choices() -> Choices:
    return _united(source.modes for source in SOURCES.all())


def refusal_choices() -> Choices:
    return _united(source.refusals for source in SOURCES.all())


def _united(declared: Iterable[type[models.TextChoices] | None]) -> Choices:
    """What several declare, each value once, in the words of the first."""
    found: dict[str, str | Promise] = {}
    for choices in declared:
        for value, label in choices.choices if choices else ():
            found.setdefault(value, label)
    return list(found.items())
