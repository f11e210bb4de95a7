"""Advisory locks of the database, by name: what no row can be locked for.

Rows are locked in one order: the account first, then what hangs on it (a subscription, a purchase, an offboarding, a
purge). An advisory lock comes before all of them.
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


class OutsideOfTransaction(Exception):
    """The lock would be given back at once: it lasts until the transaction ends."""


def take(lock: Lock, key: int = 0) -> None:
    """Wait for the lock and have it until the transaction ends. Raises `OutsideOfTransaction`."""
    if not connection.in_atomic_block:
        raise OutsideOfTransaction(lock.name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashint8(%s))", [lock, key])


def try_take(lock: Lock, key: str) -> bool:
    """Have the lock of this text until the transaction ends, if nobody has it. Raises `OutsideOfTransaction`.

    Two texts in four billion share one: then one of two waits, or is told to come again, without need.
    """
    if not connection.in_atomic_block:
        raise OutsideOfTransaction(lock.name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [lock, key])
        (is_taken,) = cursor.fetchone()
    return bool(is_taken)
