"""The pool of connections to the database, after the database was away."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections

from accounts.models import Delivery
from tests.accounts.inbox.test_middleware import knock

#: As many as met a dead connection after an outage: all of a server's idle ones.
CONNECTIONS = 8


@pytest.fixture
def pooled() -> Iterator[None]:
    """`CONNECTIONS` idle ones in the pool, as in a server that has been busy."""
    together = Barrier(CONNECTIONS)

    def use() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        together.wait(timeout=30)
        connection.close()

    _all_at_once(use)
    yield
    connections.close_all()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.concurrency
@pytest.mark.usefixtures("pooled")
def test_after_the_database_was_away_no_delivery_meets_a_dead_connection() -> None:
    with connection.cursor() as cursor:
        # What a restart of the database does to those that nobody uses just now.
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'"
        )
        (ended,) = cursor.fetchone()
    connection.close()
    together = Barrier(CONNECTIONS)

    def deliver() -> int:
        from django.test import Client

        together.wait(timeout=30)
        status: int = knock(Client()).status_code
        connection.close()
        return status

    assert ended >= CONNECTIONS - 1
    assert _all_at_once(deliver) == [202] * CONNECTIONS
    assert Delivery.objects.count() == CONNECTIONS


def _all_at_once(work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return [done.result() for done in [threads.submit(work) for _ in range(CONNECTIONS)]]
