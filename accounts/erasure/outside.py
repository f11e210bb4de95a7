"""What an erasing obliges others to, and what it waits for from them: declared by whoever asks them.

The erasing here begins with what others are asked, in one transaction, and never waits for their answers. Its
certificate does: it speaks of everything, or it is not issued. Who asks and how is not known here
(`accounts.elsewhere`).
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts.core.registry import Registry
from accounts.erasure.purge import Purge

#: A purge that has erased everything here, and waits for others, is looked at again after so long; they wake it before.
LOOK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True)
class Outside:
    """Others who hold data of our accounts, asked to erase it. Each function is called in a transaction of ours."""

    name: str
    #: The erasing begins: who goes with the account is written down, and nothing is gone yet.
    begin: Callable[[Purge, datetime], None]
    #: After a restore: the account stands in the log with this entry, and is erased again by this purge; None where
    #: nothing of it is here.
    repeat: Callable[[uuid.UUID, Mapping[str, Any], Purge | None, datetime], None]
    #: Why there is no certificate yet, in words for staff; empty where nothing is awaited.
    awaited: Callable[[Purge], str]
    #: What each of them has done, for the certificate: facts alone, in English. `deadline_met` is among them.
    answered: Callable[[Purge], list[dict[str, Any]]]
    #: The account's data is held from now on, or no longer.
    held: Callable[[uuid.UUID, datetime], None]
    let_go: Callable[[uuid.UUID, datetime], None]


REGISTRY: Registry[Outside] = Registry()


def begin(purge: Purge, at: datetime) -> None:
    for others in REGISTRY.all():
        others.begin(purge, at)


def repeat(account_id: uuid.UUID, entry: Mapping[str, Any], purge: Purge | None, at: datetime) -> None:
    for others in REGISTRY.all():
        others.repeat(account_id, entry, purge, at)


def answers(purge: Purge) -> list[dict[str, Any]]:
    """What others have done, an entry each."""
    return [entry for others in REGISTRY.all() for entry in others.answered(purge)]


def held(account_id: uuid.UUID, at: datetime) -> None:
    for others in REGISTRY.all():
        others.held(account_id, at)


def let_go(account_id: uuid.UUID, at: datetime) -> None:
    for others in REGISTRY.all():
        others.let_go(account_id, at)


def must_wait(purge: Purge, at: datetime) -> bool:
    """Whether the certificate has to wait for others at `at`; says why on the purge's row, and when to look again.

    The caller holds the purge, or has found it finished here: whoever answers wakes it (`Purge.next_attempt_at`).
    """
    reasons = [reason for others in REGISTRY.all() if (reason := others.awaited(purge))]
    if reasons:
        purge.waiting_for, purge.next_attempt_at = "; ".join(reasons), at + LOOK_AGAIN
        purge.save(update_fields=["waiting_for", "next_attempt_at"])
    return bool(reasons)
