"""A hold that is set while stores are at work: what they have only accepted is taken back, once. In no silence.

No further request is sent while the hold lasts. A store that has not begun is asked to forget the request (`DELETE`);
what it says stands on the hold, as does what could not be taken back. Once the hold is over a recalled store is asked
by a new request: the old one is spent.
"""

import uuid
from datetime import datetime

from django.db import transaction

from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.elsewhere import obliging
from accounts.elsewhere.remote_erasure import RemoteErasure, Said
from accounts.elsewhere.signed_call import send
from accounts.elsewhere.store import RemoteStore
from accounts.erasure.holds import Hold
from accounts.outgoing.client import OutgoingError


def recall(row: RemoteErasure, store: RemoteStore, at: datetime) -> None:
    """Take the request of this row back if its store has not begun, and write down on the holds what came of it.

    `row` is then as it is now. Again changes nothing, but for a hold that was set since.
    """
    with transaction.atomic():
        current = obliging.lock(row)
        is_new = current.recall_tried_at is None and current.said in (Said.NOTHING, Said.ACCEPTED)
        # Before the call: whoever is killed in it has not taken anything back.
        current.recall_tried_at = current.recall_tried_at or at
        current.save(update_fields=["recall_tried_at"])
        _write_on_holds(current, at, recalled=False)
    if is_new and _ask_back(current, store):
        _recalled(current, at)
    elif is_new:
        _record(current, AccountEvent.ELSEWHERE_NOT_RECALLED, at)
    row.refresh_from_db()


def _ask_back(row: RemoteErasure, store: RemoteStore) -> bool:
    """Whether the store says that it will not do it."""
    try:
        return send(store, "DELETE", f"{store.address}/{row.request}", request=row.request).is_success
    except OutgoingError:
        return False


def _recalled(row: RemoteErasure, at: datetime) -> None:
    with transaction.atomic():
        current = obliging.lock(row)
        if current.request != row.request or not current.is_open:
            return
        _write_on_holds(current, at, recalled=True)
        _record(current, AccountEvent.ELSEWHERE_RECALLED, at)
        current.request = uuid.uuid4()
        current.said, current.asks, current.polls = Said.NOTHING, 0, 0
        current.asked_at = current.accepted_at = current.expected_by = current.recall_tried_at = None
        current.follow()
        current.save()


def _write_on_holds(row: RemoteErasure, at: datetime, *, recalled: bool) -> None:
    """One entry a request on each hold that is in effect."""
    for hold in Hold.objects.select_for_update(no_key=True).of(row.account_id).active(at):
        entries = [entry for entry in hold.elsewhere if entry["request"] != str(row.request)]
        entry = {"store": row.store, "request": str(row.request), "said": row.said, "recalled": recalled}
        if [*entries, entry] != hold.elsewhere:
            hold.elsewhere = [*entries, entry]
            hold.save(update_fields=["elsewhere"])


def _record(row: RemoteErasure, kind: AccountEvent, at: datetime) -> None:
    history.record(row.account_id, kind, at=at, by=Actor.system(), store=row.store, request=str(row.request))
