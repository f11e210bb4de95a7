"""The types of messages: what is told, of which lines of history, in which fields. Declared by the app whose words
they are, in its `event_types.py` (`accounts.extension.Extension.messages`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.core.registry import Registry
from accounts.customers.history import Event, Kind

#: What a message says beyond what each does: ids, dates, codes, counts; instants as `datetime`. Several: a message for
#: each. None: of this line nothing is told. `Event.subject` is the row that `history.record` was told of.
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


@dataclass(frozen=True)
class ToldToo:
    """Lines of history of an app's own that are told as a type of an app below it."""

    name: str
    told_of: Mapping[Kind, Build]


TYPES: Registry[MessageType] = Registry()
#: Which lines of history are told as which types, in the order in which types were declared.
BUILDS: dict[str, list[tuple[str, Build]]] = {}


def install(declared: Iterable[MessageType | ToldToo]) -> None:
    """Add what an app tells others. Called by `Extension.install`; the same ones again are harmless."""
    for one in declared:
        if isinstance(one, MessageType):
            TYPES.add(one)
        for kind, build in one.told_of.items():
            builds = BUILDS.setdefault(kind.value, [])
            if (one.name, build) not in builds:
                builds.append((one.name, build))


def last_words() -> list[str]:
    """The names of what is told of an account that is being erased, and stays when all else goes."""
    return [kind.name for kind in TYPES.all() if kind.last_words]
