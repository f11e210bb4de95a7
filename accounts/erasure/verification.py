"""Counting again: only when nothing is left anywhere is a purge over, and certified.

Nothing left here, and others still at work (`accounts.erasure.outside`): the purge is finished here, and waits. When
they are done it is counted once more.

Called by `accounts.erasure.runner` after the last chunk.
"""

import time
import uuid
from datetime import datetime, timedelta

from django.db import transaction

from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure import certificates, inventory, last_mail, outside
from accounts.erasure.file_deletions import FileDeletion
from accounts.erasure.people import DepartingPerson
from accounts.erasure.purge import LeftBehind, Purge
from accounts.erasure.starting import must_wait
from accounts.erasure.statements import lock, look_behind
from accounts.erasure.storage import FILE_STORE, files_in_folders


def verify(purge: Purge, at: datetime, began: float) -> bool:
    """Count every store again. Nothing left, here or with others: the certificate, and the purge is over.

    Returns whether it is. Raises `LeftBehind`.
    """
    finished_at = present_of(at, began)
    left = left_outside(purge.account_id)
    with transaction.atomic():
        lock(purge)
        if purge.verified_at or must_wait(purge, at, while_erasing=True):
            return False
        look_behind(purge)
        left |= left_in_database(purge.account_id)
        if not left:
            assert purge.started_at is not None
            # Never before its beginning, whatever instant a sweep is asked to act as of.
            purge.finished_at = purge.finished_at or max(finished_at, purge.started_at)
            purge.last_error, purge.attempts, purge.left_behind_at = "", 0, None
            purge.save(update_fields=["finished_at", "last_error", "attempts", "left_behind_at"])
            if outside.must_wait(purge, at):
                return False
            DepartingPerson.objects.of(purge.account_id).delete()
            purge.verified_at = proven_at = max(present_of(at, began), purge.finished_at)
            purge.save(update_fields=["verified_at"])
            last_mail.release(purge, at=proven_at)
            certificate = certificates.append(purge, at=proven_at)
            history.record(
                purge.account_id,
                AccountEvent.PURGE_VERIFIED,
                at=proven_at,
                by=Actor.system(),
                purge=purge.pk,
                certificate=certificate.number,
                deadline_met=certificate.body["deadline_met"],
            )
            return True
    raise LeftBehind(", ".join(f"{name} {count}" for name, count in left.items()))


def left_in_database(account_id: uuid.UUID) -> dict[str, int]:
    """How much of the account is left in this database, by store; empty when nothing is."""
    counts = {store.name: store.count(account_id) for store in inventory.stores()}
    return {name: count for name, count in counts.items() if count}


def left_outside(account_id: uuid.UUID) -> dict[str, int]:
    """How much of the account is left in files and in stores outside this database."""
    counts = {eraser.name: eraser.count(account_id) for eraser in inventory.erasers()}
    counts[FILE_STORE] = sum(1 for _name in files_in_folders(account_id)) + FileDeletion.objects.of(account_id).count()
    return {name: count for name, count in counts.items() if count}


def present_of(at: datetime, began: float) -> datetime:
    """The present instant of a run that is of `at` and began at `began`, on the monotonic clock.

    What a certificate proves bears its own instant, not that of the sweep which came along.
    """
    return at + timedelta(seconds=time.monotonic() - began)
