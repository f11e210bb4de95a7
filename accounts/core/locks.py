"""The order of locks, and the advisory locks of the database, by name: what no row can be locked for.

One order, so that no two transactions wait for each other:

1. a delivery that is being processed, held by its worker alone (`accounts.jobs.due_work`);
2. advisory locks, by this file's numbers;
3. accounts, by their ids where there are several: `FOR NO KEY UPDATE` by transitions, `FOR UPDATE` by the start of a
   purge, `FOR KEY SHARE` by whoever writes a row of the account (`accounts.core.write_guard`);
4. what hangs on the account: its purge, a purchase at a marketplace, an offboarding, a request, a hold;
5. subscriptions; 6. refunds.

An erasing goes the same way: account, purge, then rows. It passes over deliveries that a worker holds, because that
worker may be waiting for the account (`accounts.erasure.inventory.Scrubbed`). Sweeps that claim rows pass over those
that are held; settling alone goes on from many subscriptions to their accounts, for a key share that only the start of
a purge makes it wait for: if these two meet, PostgreSQL ends one of them, and it is done again.
"""

from enum import IntEnum

from django.db import connection


class Lock(IntEnum):
    """Never reuse or renumber one: during an upgrade old and new processes run beside each other."""

    #: One customer of GitHub, also when there is no row of it yet; the key is GitHub's id of the account.
    GITHUB_CUSTOMER = 7301
    #: All of AWS: nobody knows beforehand which rows a message is about.
    AWS = 7302
    #: Certificates of erasure are appended one at a time.
    CERTIFICATES = 7304
    #: Runs of one sweep, held by a session of their own (`accounts.jobs.sweeps`).
    SWEEP = 7303
    #: One call of the API with an idempotency key, by the hash of both.
    API_CALL = 7305
    #: Giving messages their places in the feed (`accounts.events.publishing`).
    FEED = 7306


class OutsideOfTransaction(Exception):
    """The lock would be given back at once: it lasts until the transaction ends."""


def take(lock: Lock, key: int = 0) -> None:
    """Wait for the lock and have it until the transaction ends. Raises `OutsideOfTransaction`."""
    if not connection.in_atomic_block:
        raise OutsideOfTransaction(lock.name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashint8(%s))", [lock, key])


def try_take(lock: Lock, key: str = "") -> bool:
    """Have the lock of this text until the transaction ends, if nobody has it. Raises `OutsideOfTransaction`.

    Two texts in four billion share one: then one of two waits, or is told to come again, without need.
    """
    if not connection.in_atomic_block:
        raise OutsideOfTransaction(lock.name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [lock, key])
        (is_taken,) = cursor.fetchone()
    return bool(is_taken)
