"""Random histories of transactions that begin, write, commit late, or never: whoever reads the feed misses nothing."""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.events.message import UNPUBLISHED, EventMessage, EventStream
from accounts.events.publishing import publish_some

MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)
ACCOUNTS = [uuid.UUID(int=number) for number in range(1, 4)]
WRITERS = 3
INSERT = """
INSERT INTO accounts_eventmessage (webhook_id, account_id, type, version, happened_at, body)
VALUES (gen_random_uuid(), %s, 'member.added', '2026-12', now(), %s)
"""

writers = st.integers(0, WRITERS - 1)
acts = st.one_of(
    st.tuples(st.just("write"), writers, st.sampled_from(range(len(ACCOUNTS)))),
    st.tuples(st.sampled_from(["commit", "roll back"]), writers, st.just(0)),
    st.tuples(st.just("publish"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("read"), st.integers(1, 4), st.just(0)),
)


@pytest.fixture
def others(transactional_db: None) -> Iterator[list["psycopg.Connection[Any]"]]:
    """Connections of writers beside ours."""
    found = [psycopg.connect(**connection.get_connection_params()) for _writer in range(WRITERS)]
    yield found
    for one in found:
        one.close()


class Reader:
    """Polls the feed, and keeps what it has seen."""

    def __init__(self) -> None:
        self.after, self.seen = 0, list[EventMessage]()

    def read(self, limit: int) -> int:
        page = list(EventMessage.objects.published().filter(position__gt=self.after)[:limit])
        self.seen += page
        self.after = page[-1].position or 0 if page else self.after
        return len(page)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@given(history=st.lists(acts, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_commit_is_read_once_and_in_the_order_of_its_account(
    others: list["psycopg.Connection[Any]"], history: list[tuple[str, int, int]]
) -> None:
    EventMessage.objects.all().delete()
    EventStream.objects.all().delete()
    reader, number = Reader(), 0
    open_ones: dict[int, list[tuple[uuid.UUID, int]]] = defaultdict(list)
    committed: list[tuple[uuid.UUID, int]] = []
    for act, which, whose in history:
        if act == "write":
            # Transitions of one account come one after the other: they hold its lock.
            account, number = ACCOUNTS[whose], number + 1
            if any(account == held for writer, rows in open_ones.items() if writer != which for held, _row in rows):
                continue
            others[which].execute(INSERT, [account, f'{{"data":{{{UNPUBLISHED},"number":{number}}}}}'])
            open_ones[which].append((account, number))
        elif act == "commit":
            others[which].commit()
            committed += open_ones.pop(which, [])
        elif act == "roll back":
            others[which].rollback()
            open_ones.pop(which, None)
        elif act == "publish":
            publish_some(MAY, batch=which)
        else:
            reader.read(which)
    for writer, other in enumerate(others):
        other.commit()
        committed += open_ones.pop(writer, [])
    while publish_some(MAY):
        pass
    while reader.read(3):
        pass
    said = [(message.account_id, json.loads(message.body)["data"]) for message in reader.seen]
    assert sorted(data["number"] for _account, data in said) == sorted(number for _account, number in committed)
    positions = [message.position for message in reader.seen]
    assert positions == sorted(set(positions), key=lambda position: position or 0)
    for account in ACCOUNTS:
        of_it = [data for whose, data in said if whose == account]
        assert [data["number"] for data in of_it] == [number for whose, number in committed if whose == account]
        assert [data["sequence"] for data in of_it] == list(range(1, len(of_it) + 1))
