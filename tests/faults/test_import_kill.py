"""`kill -9` in the middle of an import, and two imports of one file side by side: every customer once, no mail."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accounts.models import Account, Event, Membership, Notice, User
from subscriptions.models import Cancellation, ImportedRow, Subscription
from tests.faults.processes import command, sweep
from tests.subscriptions.imports.importing import json_lines, row

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]

#: `IMPORTED_ACCOUNTS=10000` takes half a minute.
ACCOUNTS = int(os.environ.get("IMPORTED_ACCOUNTS", "1000"))


def customers(path: Path) -> Path:
    """Of ten: one on trial, one whose trial and one whose subscription ended long ago, one who has cancelled."""
    today = datetime.now(tz=UTC)
    changes: dict[int, dict[str, str]] = {
        0: {"trial_ends_at": (today + timedelta(days=9)).isoformat(), "started_at": today.isoformat()},
        1: {"trial_ends_at": "2025-02-14T08:00:00Z", "ends_at": "2025-02-14T08:00:00Z"},
        2: {"cancelled_at": "2025-03-03T08:00:00Z"},
        3: {"cancelled_at": (today - timedelta(minutes=1)).isoformat()},
    }
    return json_lines(path, (row(n, subscription=changes.get(n % 10, {})) for n in range(ACCOUNTS)))


def assert_everything_is_here_once() -> None:
    for model in (Account, User, Membership, Subscription, ImportedRow):
        assert model._default_manager.count() == ACCOUNTS, model
    assert Account.objects.values("external_id").distinct().count() == ACCOUNTS
    assert Cancellation.objects.count() == ACCOUNTS // 5
    assert Cancellation.objects.open().count() == ACCOUNTS // 10
    assert Event.objects.filter(kind="account.imported").count() == ACCOUNTS
    assert Event.objects.filter(kind="subscription.started").count() == ACCOUNTS
    assert Event.objects.filter(kind="subscription.ended").count() == ACCOUNTS // 5
    assert Event.objects.filter(kind="cancellation.requested").count() == ACCOUNTS // 5
    assert Event.objects.count() == ACCOUNTS * 24 // 10
    assert Notice.objects.count() == 0


@pytest.mark.slow
def test_an_import_killed_in_the_middle_goes_on_where_it_was_and_mails_nobody(tmp_path: Path) -> None:
    file, report = customers(tmp_path / "a.jsonl"), tmp_path / "report.jsonl"
    killed = command("import_accounts", str(file), "--report", str(report))
    give_up = time.monotonic() + 120
    while Account.objects.count() < ACCOUNTS // 3:
        assert killed.poll() is None, "the kill came after the end"
        assert time.monotonic() < give_up, "nothing is imported"
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    here = Account.objects.count()
    told = [line for line in report.read_text().splitlines() if line.endswith("}")]
    assert ACCOUNTS // 3 <= here < ACCOUNTS
    # All that was reported is there, and of the one after it, if anything, everything.
    assert here - 1 <= len(told) <= here
    assert Membership.objects.count() == Subscription.objects.count() == ImportedRow.objects.count() == here

    assert command("import_accounts", str(file), "--report", str(report)).wait() == 0
    outcomes = [json.loads(line)["outcome"] for line in report.read_text().splitlines()]
    assert outcomes == ["unchanged"] * here + ["created"] * (ACCOUNTS - here)
    assert_everything_is_here_once()
    assert command("import_accounts", str(file)).wait() == 0
    assert sweep("settle", "remind", "notices", at=datetime.now(tz=UTC)).wait() == 0
    assert_everything_is_here_once()


def test_two_imports_side_by_side_bring_in_every_customer_once(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", (row(number) for number in range(300)))
    reports = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    both = [command("import_accounts", str(file), "--report", str(report)) for report in reports]
    codes = [process.wait() for process in both]
    told = [json.loads(line) for report in reports for line in report.read_text().splitlines()]
    outcomes = [line["outcome"] for line in told]
    assert outcomes.count("created") == Account.objects.count() == Subscription.objects.count() == 300
    assert User.objects.count() == 300
    # Who came second for a row looked again, and found it there.
    assert (codes, outcomes.count("unchanged")) == ([0, 0], 300)
