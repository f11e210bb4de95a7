"""Two stores elsewhere that hold something of an account whose erasing is due."""

import json
from collections.abc import Iterator

import pytest
from django.test import override_settings

from accounts.elsewhere.store import RemoteStore, of_setting
from accounts.models import Account, Purge, User
from tests.accounts.erasure.purging import oblige
from tests.fakes.store import TestStore


def configured(*stores: TestStore, **more: object) -> list[RemoteStore]:
    """These stores as the setting lists them."""
    found, wrong = of_setting(json.dumps([store.configured(**more) for store in stores]), https=False)
    assert not wrong
    return found


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[TestStore, TestStore]]:
    with TestStore("analytics") as analytics, TestStore("mailing") as mailing:
        yield analytics, mailing


@pytest.fixture
def analytics(served: tuple[TestStore, TestStore]) -> TestStore:
    served[0].clear()
    return served[0]


@pytest.fixture
def mailing(served: tuple[TestStore, TestStore]) -> TestStore:
    served[1].clear()
    return served[1]


@pytest.fixture
def stores(analytics: TestStore, mailing: TestStore) -> Iterator[list[RemoteStore]]:
    listed = configured(analytics, mailing)
    with override_settings(REMOTE_STORES=listed):
        yield listed


@pytest.fixture
def purge(account: Account, owner: User, stores: list[RemoteStore], analytics: TestStore, mailing: TestStore) -> Purge:
    """Due now; each store has three records of the account, and some of another one."""
    Account.objects.filter(pk=account.pk).update(external_id="harbour-7")
    User.objects.filter(pk=owner.pk).update(external_id="u-7")
    for store in (analytics, mailing):
        for number in range(3):
            store.put(account.pk, "documents", f"document {number}", person="u-7")
        store.put("another", "documents", "of somebody else", person="u-8")
    return oblige(account)
