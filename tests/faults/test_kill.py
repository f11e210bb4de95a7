"""`kill -9` in the middle of the work: whoever comes next finishes it, and nothing is done twice."""

import random
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.models import Account, Event, Membership, Notice, Role, User
from subscriptions.models import Cancellation, Subscription
from tests.factories import NOW
from tests.faults.processes import sweep

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]

ACCOUNTS = 5000
#: Of them have an owner who is told. To send takes ten times as long as to settle, and proves no more with all.
TOLD = 1500
END = NOW + timedelta(days=20)


def fill() -> None:
    """Accounts that are all cancelled, with one end."""
    people = User.objects.bulk_create([User(email=f"owner{n}@example.org") for n in range(TOLD)])
    accounts = Account.objects.bulk_create([Account(name=f"Account {n}") for n in range(ACCOUNTS)])
    Membership.objects.bulk_create(
        [Membership(account=a, user=p, role=Role.OWNER) for a, p in zip(accounts, people, strict=False)]
    )
    subscriptions = Subscription.objects.bulk_create(
        [
            Subscription(
                account=account,
                plan_id="pro",
                channel="direct",
                interval=1,
                cents=4900,
                started_at=NOW,
                anchor_at=NOW,
                ends_at=END,
            )
            for account in accounts
        ]
    )
    Cancellation.objects.bulk_create(
        [Cancellation(subscription=s, requested_at=NOW, effective_at=END) for s in subscriptions]
    )


def wait_for_mails(process: "subprocess.Popen[bytes]", wanted: int) -> None:
    """Until so many mails are noted as sent, or the process has ended."""
    give_up = time.monotonic() + 60
    while Notice.objects.exclude(sent_at=None).count() < wanted and process.poll() is None:
        assert time.monotonic() < give_up, "the sweep sends no mails"
        time.sleep(0.01)


def test_a_sweep_killed_again_and_again_settles_every_account_once_and_sends_every_mail_once(tmp_path: Path) -> None:
    fill()
    # Each run comes after the leases of the one killed before it.
    runs = (END + number * (Notice.LEASE + timedelta(seconds=1)) for number in range(100))
    chance = random.Random(20260317)  # noqa: S311  # the same moments in every run of this test
    for at, number in zip(runs, range(6), strict=False):
        # The first two are killed while they start or settle, the others between any two mails: four times at most
        # 300 leave some for the last run, however fast the machine is.
        wanted = chance.randint(50, 300) if number >= 2 else 0
        process = sweep(at=at, EMAIL_URL=f"filemail://{tmp_path}")
        if wanted:
            wait_for_mails(process, Notice.objects.exclude(sent_at=None).count() + wanted)
        else:
            time.sleep(chance.uniform(0.8, 1.5))
        assert process.poll() is None, "a kill came after the end"
        process.kill()
        process.wait()
    unfinished = Notice.objects.unsent().count()
    assert unfinished or Subscription.objects.unsettled().exists(), "every kill came too late to prove anything"

    assert sweep(at=next(runs), EMAIL_URL=f"filemail://{tmp_path}").wait() == 0

    assert Subscription.objects.unsettled().count() == 0
    assert Cancellation.objects.exclude(carried_out_at=None).count() == ACCOUNTS
    assert Event.objects.filter(kind="subscription.ended").values("account").distinct().count() == ACCOUNTS
    assert Event.objects.filter(kind="subscription.ended").count() == ACCOUNTS
    assert Notice.objects.exclude(sent_at=None).count() == Notice.objects.count() == TOLD
    assert len(list(tmp_path.glob("*.eml"))) == TOLD
