"""The types of messages: what is told, of which lines of history, in which fields. Declared by the app whose words
they are, in its `event_types.py` (`accounts.extension.Extension.messages`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from accounts.core.registry import Registry
from accounts.customers.history import Event, Kind

#: What a message says beyond what each does: ids, dates, codes, counts; instants as `datetime`. Several: a message for
#: each. None: of this line nothing is told. `Event.about` is the row that `history.record` was told of.
Payload = dict[str, Any]
Build = Callable[[Event], "Payload | list[Payload] | None"]


@dataclass(frozen=True)
class MessageType:
    """`name` as receivers see it: hierarchical, with full stops, letters and underscores."""

    name: str
    #: When it is sent, in a sentence, and its fields beyond the common ones: `docs/events.md` is made of these.
    when: str
    fields: Mapping[str, str] = field(default_factory=dict)
    #: Of which lines of history it tells, and how.
    told_of: Mapping[Kind, Build] = field(default_factory=dict)
    #: Told of an account that is being erased, or has been: of such a one nothing else is.
    last_words: bool = False
    #: What an account may do may be another thing from now on: `accounts.events.entitlements_told` asks.
    changes_entitlements: bool = False

    @cached_property
    def by_value(self) -> dict[str, Build]:
        """`told_of`, by what lines of history say."""
        return {kind.value: build for kind, build in self.told_of.items()}


TYPES: Registry[MessageType] = Registry()


def last_words() -> list[str]:
    """The names of what is told of an account that is being erased, and stays when all else goes."""
    return [kind.name for kind in TYPES.all() if kind.last_words]
