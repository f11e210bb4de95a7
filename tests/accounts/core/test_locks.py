"""Advisory locks: named, and only ever taken for as long as a transaction lasts."""

from concurrent.futures import ThreadPoolExecutor, TimeoutError

import pytest
from django.db import connection, transaction

from accounts.core import locks
from accounts.core.locks import Lock, OutsideOfTransaction


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_lock_outside_of_a_transaction_is_refused() -> None:
    with pytest.raises(OutsideOfTransaction):
        locks.take(Lock.CERTIFICATES)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.concurrency
def test_a_second_one_waits_until_the_transaction_ends_and_another_key_does_not() -> None:
    def have(key: int) -> bool:
        try:
            with transaction.atomic():
                locks.take(Lock.GITHUB_CUSTOMER, key)
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as others:
        with transaction.atomic():
            locks.take(Lock.GITHUB_CUSTOMER, 1)
            assert others.submit(have, 2).result(timeout=30)
            waiting = others.submit(have, 1)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=30)


def test_no_two_locks_have_one_number() -> None:
    assert len({int(lock) for lock in Lock.__members__.values()}) == len(Lock.__members__) == 6
