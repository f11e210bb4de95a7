"""The point of no return: what a purge must wait for, and the transaction that begins the erasing.

Called by `accounts.erasure.runner` for each purge that is due, which goes on asking before every chunk.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts.core.registry import Registry, function_name
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure import inventory, last_mail, outside, people
from accounts.erasure.purge import Purge

#: A purge that waits for something is looked at again after so long.
LOOK_AGAIN = timedelta(minutes=10)

#: Answers why an account's data must not be erased at an instant, or None.
Reason = Callable[[uuid.UUID, datetime], str | None]


@dataclass(frozen=True)
class ReasonToWait:
    """Asked under the lock before a purge starts; with `while_erasing` before every chunk, too.

    Each app declares its own: a hold, a customer who has come back and pays.
    """

    name: str
    reason: Reason
    while_erasing: bool = False


REASONS_TO_WAIT: Registry[ReasonToWait] = Registry()


#: Does what has to be done before nothing can be written any more, in the transaction that begins the erasing.
BeforeErasing = Callable[[uuid.UUID, datetime], None]
BEFORE_ERASING: Registry[BeforeErasing] = Registry(key=function_name)


def reason_to_wait(purge: Purge, at: datetime, *, while_erasing: bool) -> str:
    """Why this purge must wait at `at`; empty if it need not. What is erased again after a restore never waits."""
    if purge.is_replay:
        return ""
    asked = (
        waiting.reason(purge.account_id, at)
        for waiting in REASONS_TO_WAIT.all()
        if waiting.while_erasing or not while_erasing
    )
    return next((answer for answer in asked if answer), "")


def start(purge: Purge, *, at: datetime, present: datetime | None = None) -> bool:
    """Begin the erasing, unless it was called off, is not due, or must wait. Returns whether this call began it.

    Dates are decided as of `at`; the beginning itself bears the instant `present`, in a run that has gone on since.

    In one transaction: everything is checked again, what was paid for until now ends, writing to the account stops, its
    people are signed out, what the law wants kept is written down, and what others are asked to erase. From here there
    is no way back.
    """
    with transaction.atomic():
        # With its key: whoever is writing rows of the account is waited for, whoever comes later is refused.
        account = Account.objects.select_for_update().filter(pk=purge.account_id).first()
        purge = Purge.objects.locked().get(pk=purge.pk)
        if purge.called_off_at or purge.started_at or purge.due_at > at:
            return False
        if must_wait(purge, at, while_erasing=False):
            return False
        for act in BEFORE_ERASING.all():
            act(purge.account_id, at)
        last_mail.set_aside(purge, account, at=present or at)
        if account:
            account.purging_at = present or at
            account.save(update_fields=["purging_at"])
            people.see_out(account.pk)
            if settings.ERASURE_LOG_EXTERNAL_IDS:
                purge.external_id = account.external_id or ""
        purge.started_at = present or at
        purge.kept = {keeper.name: keeper.keep(purge.account_id, at) for keeper in inventory.keepers()}
        purge.save(update_fields=["started_at", "kept", "external_id"])
        outside.begin(purge, at)
        history.record(
            purge.account_id, AccountEvent.PURGE_STARTED, at=at, by=Actor.system(), purge=purge.pk, cause=purge.cause
        )
    return True


def must_wait(purge: Purge, at: datetime, *, while_erasing: bool) -> bool:
    """Whether this purge must wait at `at`; says why on its row, and when it is looked at again."""
    reason = reason_to_wait(purge, at, while_erasing=while_erasing)
    if reason:
        purge.next_attempt_at = at + LOOK_AGAIN
    if reason or purge.waiting_for:
        purge.waiting_for = reason
        purge.save(update_fields=["waiting_for", "next_attempt_at"])
    return bool(reason)
