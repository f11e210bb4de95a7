"""What other apps have to say on Subscription Settings about the accounts of a channel.

A marketplace knows things about its customers that a subscription does not, such as a change that is pending there.
It declares a function that says them (`subscriptions.channels.channel_extension`), as a template and what the template
needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.core.registry import Registry
from accounts.models import Account
from subscriptions.subscription import Channel


@dataclass(frozen=True)
class Note:
    """`template` is rendered with `note` in its context; `about` is whatever it needs."""

    template: str
    about: Any


NoteFor = Callable[[Account, datetime], Note | None]


@dataclass(frozen=True)
class NotesOfChannel:
    """Who has notes about a channel's accounts."""

    channel: Channel
    note_for: NoteFor


REGISTRY: Registry[NotesOfChannel] = Registry(key=lambda notes: notes.channel)


def notes_for(account: Account, channel: str | None, at: datetime) -> list[Note]:
    """The notes about an account whose live subscription was bought through `channel`.

    None: none is live. Then every marketplace may have something to say: of the last one, or of one that is to begin.
    """
    asked = [notes.note_for for notes in REGISTRY.all() if channel in (None, notes.channel)]
    return [note for note_for in asked if (note := note_for(account, at))]
