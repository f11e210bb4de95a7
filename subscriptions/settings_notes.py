"""What other apps have to say on Subscription Settings about the accounts of a channel.

A marketplace knows things about its customers that a subscription does not, such as a change that is pending there.
It registers a function that says them, as a template and what the template needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Account
from subscriptions.subscription import Channel


@dataclass(frozen=True)
class Note:
    """`template` is rendered with `note` in its context; `about` is whatever it needs."""

    template: str
    about: Any


NoteFor = Callable[[Account, datetime], Note | None]
_notes: dict[str, NoteFor] = {}


def register_note(channel: Channel, note_for: NoteFor) -> None:
    """Say who has notes about a channel's accounts. Called once by each, from its `AppConfig.ready`."""
    _notes[channel] = note_for


def notes_for(account: Account, channel: str | None, at: datetime) -> list[Note]:
    """The notes about an account whose live subscription was bought through `channel`.

    None: none is live. Then every marketplace may have something to say: of the last one, or of one that is to begin.
    """
    asked = _notes.values() if channel is None else [note_for for known, note_for in _notes.items() if known == channel]
    return [note for note_for in asked if (note := note_for(account, at))]
