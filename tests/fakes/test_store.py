"""The test store behaves as docs/stores-elsewhere.md asks of one, and checks what it is told by itself."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.store import TestStore

ACCOUNT = str(uuid.UUID(int=7))


@pytest.fixture
def store() -> Iterator[TestStore]:
    with TestStore() as store:
        store.put(ACCOUNT, "documents", "one", person="u-1")
        store.put("another", "documents", "of a person of theirs", person="u-1")
        store.put("another", "documents", "stays")
        yield store


def ask(store: TestStore, request: str = "", **signed: Any) -> httpx.Response:
    request = request or str(uuid.uuid4())
    people = [{"id": 1, "external_id": "u-1"}]
    message = {"type": "erasure.requested", "data": {"request": request, "account": ACCOUNT, "people": people}}
    body = json.dumps(message).encode()
    return httpx.post(store.url, content=body, headers=store.signed(request, body, **signed), trust_env=False)


def test_it_erases_what_is_the_accounts_and_its_peoples_and_nothing_else(store: TestStore) -> None:
    answered = ask(store).json()
    assert (answered["status"], answered["erased"], answered["left"]) == ("done", {"documents": 2}, 0)
    assert (store.left_of(ACCOUNT), store.left_of("another")) == (0, 1)


def test_a_repeated_request_has_the_counts_of_the_first_time(store: TestStore) -> None:
    request = str(uuid.uuid4())
    assert ask(store, request).json() == ask(store, request).json()


def test_it_takes_nothing_new_of_an_account_that_it_has_erased(store: TestStore) -> None:
    ask(store)
    assert not store.put(ACCOUNT, "documents", "late")
    assert store.put("another", "documents", "new")


def test_it_believes_no_forged_and_no_old_request(store: TestStore) -> None:
    assert httpx.post(store.url, content=b"{}", trust_env=False).status_code == 401
    assert ask(store, at=1).status_code == 401
    assert (store.forged, store.left_of(ACCOUNT)) == (2, 1)


def test_it_is_told_at_a_terminal_how_to_behave(store: TestStore) -> None:
    root = store.url.removesuffix("/erasures")

    def tell(verb: str, **told: object) -> httpx.Response:
        return httpx.post(f"{root}/_control/{verb}", json=told, trust_env=False)

    assert tell("behave", **{"as": "refuses"}).json()["behaves"] == "refuses"
    assert ask(store).status_code == 422
    tell("behave", **{"as": "at_once", "account": ACCOUNT})
    assert ask(store).status_code == 200
    assert tell("behave", **{"as": "magic"}).status_code == 400
