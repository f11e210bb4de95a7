"""A purge leaves the database to others between its chunks, if there are any."""

import time
from collections.abc import Callable

import psycopg
import pytest

from accounts.erasure.giving_way import LONGEST_PAUSE, give_way, somebody_is_at_work
from tests.accounts.erasure.dumping import database_url

#: Somebody counts for a second after the last statement.
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def becomes(condition: Callable[[], bool]) -> bool:
    stop = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < stop:
        time.sleep(0.05)
    return condition()


def test_who_is_alone_does_not_pause() -> None:
    assert becomes(lambda: not somebody_is_at_work())
    assert give_way(0.2) == 0


def test_half_of_what_a_chunk_took_is_left_to_whoever_else_is_at_work() -> None:
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT 1")
        assert give_way(0.2) == 0.1


def test_a_slow_chunk_makes_nobody_wait_for_long() -> None:
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT 1")
        assert give_way(60) == LONGEST_PAUSE
