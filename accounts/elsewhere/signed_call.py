"""One signed call to a store elsewhere, in its turn: the only way in which a store is called."""

import uuid
from collections.abc import Callable

from django.db import connection

from accounts.core import clock
from accounts.elsewhere import gate
from accounts.elsewhere.store import RemoteStore
from accounts.outgoing.client import LIMIT, OutgoingAnswer, call
from accounts.outgoing.signing import signed


def send(
    store: RemoteStore,
    method: str,
    address: str,
    *,
    request: uuid.UUID,
    body: bytes = b"",
    timeout: float = 0,
    limit: int = LIMIT,
    into: Callable[[bytes], None] | None = None,
) -> OutgoingAnswer:
    """Wait for a slot, call, and return the answer, whatever its status. Raises what `accounts.outgoing.client` does.

    `request` is the message's id, by which the store knows a repetition. Outside of transactions: it takes its time.
    `timeout`: seconds, by default the store's. `limit` and `into`: see `accounts.outgoing.client.call`.
    """
    gate.wait_for_slot(store)
    if not connection.in_atomic_block:
        # Nobody holds a connection of the pool while somebody else thinks.
        connection.close()
    # Of this attempt, by the real clock, whatever instant the sweep is run for: the store compares it with its own.
    headers = signed(str(request), body, keys=store.secrets, at=clock.now())
    if body:
        headers["content-type"] = "application/json"
    return call(
        method,
        address,
        body=body,
        headers=headers,
        timeout=timeout or store.timeout,
        limit=limit,
        trusted=True,
        into=into,
    )
