"""When stores elsewhere come to be asked: with the erasing here, and again after a restore. What `erasure` knows of it.

Nothing is asked before the erasing has begun: until then it can be called off, and what others have erased comes back
to nobody. The ids of people are written down in the transaction that begins it, while they can still be looked up.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext

from accounts.customers.account import Account
from accounts.customers.user import User
from accounts.elsewhere.remote_erasure import How, RemoteErasure, Said
from accounts.elsewhere.store import RemoteStore, stores
from accounts.erasure.certificates import instant
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.outside import Outside
from accounts.erasure.people import people_about_to_go
from accounts.erasure.purge import Purge
from accounts.erasure.replay import WITHIN
from accounts.erasure.starting import ReasonToWait


def begin(purge: Purge, at: datetime) -> None:
    """Write down what each store is asked. In the transaction that begins the erasing."""
    configured = stores()
    if not configured:
        return
    known = {row.store: row for row in RemoteErasure.objects.filter(purge=purge)}
    external_id, people = _ids(purge.account_id)
    new = []
    for store in configured:
        row = known.get(store.name)
        if row is None:
            row = _row(store, purge.account_id, purge.cause, at, deadline_at=purge.deadline_at)
            row.purge, row.is_replay = purge, purge.is_replay
            new.append(row)
        # Of one that was written down by a replay, before it was known who goes.
        row.external_id, row.people = external_id, people
    RemoteErasure.objects.bulk_create(new)
    RemoteErasure.objects.bulk_update(known.values(), ["external_id", "people"])


def _row(
    store: RemoteStore, account_id: uuid.UUID, cause: PurgeCause | str, at: datetime, *, deadline_at: datetime
) -> RemoteErasure:
    row = RemoteErasure(
        account_id=account_id,
        store=store.name,
        cause=cause,
        before_ours=store.before_ours,
        obliged_at=at,
        next_attempt_at=at,
        deadline_at=deadline_at,
        promised_days=store.promised_days,
    )
    row.promise_from(at)
    row.follow()
    return row


def _ids(account_id: uuid.UUID) -> tuple[str, list[dict[str, Any]]]:
    """What the vendor calls the account, and those of its people who belong to no other one."""
    account = Account.objects.filter(pk=account_id).values_list("external_id", flat=True).first()
    going = User.objects.filter(pk__in=people_about_to_go(account_id), is_staff=False).order_by("pk")
    people = [{"id": pk, "external_id": external_id} for pk, external_id in going.values_list("pk", "external_id")]
    return account or "", people


def repeat(account_id: uuid.UUID, entry: Mapping[str, Any], purge: Purge | None, at: datetime) -> None:
    """Ask every store again about an account of the log, by a new request that names the one it repeats.

    Their answer of before the restore proves nothing of what they hold now. Again changes nothing while one is open.
    """
    before = {str(asked["store"]): uuid.UUID(str(asked["request"])) for asked in entry.get("elsewhere", [])}
    known = {row.store: row for row in RemoteErasure.objects.filter(purge=purge, account_id=account_id).order_by("pk")}
    for store in stores():
        row = known.get(store.name)
        if row is not None and row.is_replay and row.is_open:
            continue
        if row is None or purge is None:
            row = _row(store, account_id, entry["cause"], at, deadline_at=at + WITHIN)
            row.purge = purge
            row.external_id = str(entry.get("external_id", ""))
        else:
            # Restored with its purge: what it said then is of before.
            row = _again(row, store, at)
        if purge and purge.started_at and not row.people:
            # Its people had been written down, and forgotten when the store had answered.
            row.external_id, row.people = _ids(account_id)
        row.is_replay, row.replay_of = True, before.get(store.name)
        row.save()


def _again(row: RemoteErasure, store: RemoteStore, at: datetime) -> RemoteErasure:
    """The row as if it had never been asked; what it knows of people stays."""
    anew = _row(store, row.account_id, row.cause, at, deadline_at=at + WITHIN)
    anew.pk, anew.purge, anew.external_id, anew.people = row.pk, row.purge, row.external_id, row.people
    return anew


def awaited(purge: Purge) -> str:
    """Which stores have not said yet that nothing is left."""
    if not (waiting := list(RemoteErasure.objects.open().filter(purge=purge).order_by("store"))):
        return ""
    return gettext("the answers of stores elsewhere: %(stores)s") % {"stores": ", ".join(row.store for row in waiting)}


def answered(purge: Purge) -> list[dict[str, Any]]:
    """What each store has done, for the certificate. Ids, dates, counts, and what it says it keeps and why."""
    rows = RemoteErasure.objects.filter(purge=purge).order_by("store")
    return [_told(row) for row in rows]


def _told(row: RemoteErasure) -> dict[str, Any]:
    told: dict[str, Any] = {
        "store": row.store,
        "request": str(row.request),
        "version": row.version,
        "how": row.how,
        "asked_at": instant(row.asked_at),
        "accepted_at": instant(row.accepted_at),
        "promised_by": instant(row.promised_at),
        "done_at": instant(row.done_at),
        "deadline_met": row.met_its_deadline,
        "replay_of": str(row.replay_of) if row.replay_of else None,
    }
    if row.how == How.BY_HAND:
        # Never beside counts: no machine has counted anything.
        return told | {
            "stated_by_staff": {
                "case_number": row.case_number,
                "stated_by": row.proposed_by_id,
                "stated_at": instant(row.proposed_at),
                "approved_by": row.approved_by_id,
                "approved_at": instant(row.done_at),
            }
        }
    return told | {"erased": row.erased, "left": row.left, "kept": row.kept, "proof": row.proof}


def held(account_id: uuid.UUID, at: datetime) -> None:
    """A hold: the sweep looks at what is open now, not when it would be asked next."""
    _wake(account_id, at)


def let_go(account_id: uuid.UUID, at: datetime) -> None:
    """It goes on; what was recalled is asked anew."""
    _wake(account_id, at)


def _wake(account_id: uuid.UUID, at: datetime) -> None:
    rows = RemoteErasure.objects.open().of(account_id).exclude(said=Said.REFUSED)
    rows.filter(next_attempt_at__gt=at).update(next_attempt_at=at)


def wake_purge(row: RemoteErasure, at: datetime) -> None:
    """A store has answered, or is not waited for any longer: the purge that waits for it goes on at once."""
    if row.purge_id is None:
        return
    waiting = Purge.objects.open().filter(pk=row.purge_id).exclude(waiting_for="")
    waiting.filter(next_attempt_at__gt=at).update(next_attempt_at=at)


def before_ours(account_id: uuid.UUID, at: datetime) -> str | None:
    """Why erasing here waits: a store that finds its data by asking us, until half of the time that is left is over."""
    if not any(store.before_ours for store in stores()):
        return None
    row = (
        RemoteErasure.objects.holding_up(account_id)
        .filter(purge__verified_at=None)
        .filter(
            purge__deadline_at__gt=models.F("purge__started_at"),
            purge__started_at__gt=at - (models.F("purge__deadline_at") - models.F("purge__started_at")) / 2,
        )
        .order_by("store")
        .first()
    )
    return gettext("the store elsewhere %(store)s, which comes before ours") % {"store": row.store} if row else None


OUTSIDE = Outside("stores elsewhere", begin, repeat, awaited, answered, held, let_go)
REASON_TO_WAIT = ReasonToWait("stores elsewhere", before_ours, while_erasing=True)


def lock(row: RemoteErasure) -> RemoteErasure:
    """The row as it is now, its account's purge locked before it. In the caller's transaction."""
    assert transaction.get_connection().in_atomic_block
    if row.purge_id:
        Purge.objects.locked().filter(pk=row.purge_id).first()
    return RemoteErasure.objects.locked().get(pk=row.pk)
