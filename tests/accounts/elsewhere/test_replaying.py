"""After a restore every store is asked again about every account of the log, and nobody waits for them to open."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import override_settings

from accounts.elsewhere.remote_erasure import RemoteErasure
from accounts.elsewhere.runner import ask_due
from accounts.erasure import replay
from accounts.erasure.runner import purge_due
from accounts.models import Account, Certificate, Purge, User
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, AccountFactory
from tests.fakes.store import TestStore

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def log(purge: Purge, analytics: TestStore, mailing: TestStore, tmp_path: Path) -> Path:
    """The log of an erasing that both stores have answered."""
    purge_due(NOW)
    ask_due(NOW)
    purge_due(NOW)
    assert Certificate.objects.count() == 1
    file = tmp_path / "erasures.jsonl"
    replay.export(file)
    return file


def test_what_a_restore_brought_back_is_asked_for_again_and_the_old_request_is_named(
    log: Path, account: Account, owner: User, analytics: TestStore, mailing: TestStore
) -> None:
    before = RemoteErasure.objects.get(store="analytics")
    AccountFactory(id=account.pk, name="Back again")
    for store in (analytics, mailing):
        store.suppressed.clear()
        store.put(account.pk, "documents", "brought back")
    (outcome,) = replay.replay(log, at=NOW + DAY)
    # It waits for others, and that is no failure: what is here is gone.
    assert (outcome.certificate, outcome.error) == (None, "")
    assert outcome.waits == "the answers of stores elsewhere: analytics, mailing"
    assert not Account.objects.filter(pk=account.pk).exists()
    assert ask_due(NOW + DAY) == 2
    again = analytics.requests[str(RemoteErasure.objects.get(store="analytics", is_replay=True).request)]
    assert again.message["data"]["replay_of"] == str(before.request)
    assert analytics.left_of(account.pk) == mailing.left_of(account.pk) == 0
    assert purge_due(NOW + DAY) == 1
    body = Certificate.objects.order_by("number").last()
    assert body is not None
    assert body.elsewhere[0]["replay_of"] == str(before.request)


def test_an_account_that_is_not_here_is_asked_for_again_too(log: Path, account: Account, analytics: TestStore) -> None:
    analytics.suppressed.clear()
    analytics.put(account.pk, "documents", "brought back by a restore of theirs")
    (outcome,) = replay.replay(log, at=NOW + DAY)
    assert outcome == replay.ReplayOutcome(account.pk, None)
    list(replay.replay(log, at=NOW + DAY))
    assert RemoteErasure.objects.filter(purge=None).count() == 2
    assert ask_due(NOW + DAY) == 2
    assert analytics.left_of(account.pk) == 0


def test_a_purge_that_was_restored_half_way_believes_no_answer_of_before(
    purge: Purge, account: Account, owner: User, analytics: TestStore, mailing: TestStore, tmp_path: Path
) -> None:
    mailing.behaves = "by_report"
    purge_due(NOW)
    ask_due(NOW)
    before = RemoteErasure.objects.get(store="analytics")
    assert not before.is_open
    log = tmp_path / "erasures.jsonl"
    _write_log(log, account.pk)
    list(replay.replay(log, at=NOW + DAY))
    row = RemoteErasure.objects.get(store="analytics")
    assert row.is_open
    assert row.request != before.request
    assert Purge.objects.get(pk=purge.pk).is_replay


def test_the_vendors_id_is_in_the_log_only_where_the_settings_say_so(
    account: Account, owner: User, tmp_path: Path
) -> None:
    Account.objects.filter(pk=account.pk).update(external_id="harbour-7")
    with override_settings(ERASURE_LOG_EXTERNAL_IDS=True):
        erase_all(account)
    other = AccountFactory(external_id="quay-9")
    erase_all(other)
    file = tmp_path / "erasures.jsonl"
    replay.export(file)
    text = file.read_text()
    assert '"external_id":"harbour-7"' in text
    assert "quay-9" not in text


def _write_log(file: Path, account_id: uuid.UUID) -> None:
    """A log of an erasing that the restored database knows nothing of."""
    from accounts.erasure import hash_chain
    from accounts.erasure.certificates import System

    body = {
        "account": str(account_id),
        "cause": "customer_request",
        "received_at": NOW.isoformat(),
        "deadline_at": (NOW + DAY).isoformat(),
        "verified_at": NOW.isoformat(),
        "replay_of": None,
        "certificate": 1,
        "certificate_hash": "0" * 64,
    }
    hash_chain.write(file, replay.KIND, System.this(), hash_chain.linked([body]))
