"""`kill -9` in the middle of the work: whoever comes next finishes it, and nothing is done twice."""

import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import Account, Event, Membership, Notice, Role, User
from accounts.sending import LEASE
from subscriptions.models import Cancellation, Subscription
from tests.factories import NOW

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]

ACCOUNTS = 5000
END = NOW + timedelta(days=20)


def fill() -> None:
    """Accounts whose owners have all cancelled, with one end."""
    people = User.objects.bulk_create([User(email=f"owner{n}@example.org") for n in range(ACCOUNTS)])
    accounts = Account.objects.bulk_create([Account(name=f"Account {n}") for n in range(ACCOUNTS)])
    Membership.objects.bulk_create(
        [Membership(account=a, user=p, role=Role.OWNER) for a, p in zip(accounts, people, strict=True)]
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


def sweep(at: datetime, mail: Path) -> "subprocess.Popen[bytes]":
    """A process of its own that carries out what is due in this test's database."""
    database = connection.settings_dict
    host = quote(str(database["OPTIONS"].get("host") or database["HOST"]), safe="")
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@/{database['NAME']}?host={host}"
    return subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "sweep", "--at", at.isoformat()],
        env={**os.environ, "DATABASE_URL": url, "EMAIL_URL": f"filemail://{mail}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_sweep_killed_again_and_again_settles_every_account_once_and_sends_every_mail_once(tmp_path: Path) -> None:
    fill()
    # Each run comes after the leases of the one killed before it.
    runs = (END + number * (LEASE + timedelta(seconds=1)) for number in range(100))
    chance = random.Random(20260317)  # noqa: S311  # the same moments in every run of this test
    for at, _kill in zip(runs, range(6), strict=False):
        process = sweep(at, tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0.8, 3))
        process.kill()
        process.wait()
    unfinished = Notice.objects.unsent().count()
    assert unfinished or Subscription.objects.unsettled().exists(), "every kill came too late to prove anything"

    assert sweep(next(runs), tmp_path).wait() == 0

    assert Subscription.objects.unsettled().count() == 0
    assert Cancellation.objects.exclude(carried_out_at=None).count() == ACCOUNTS
    assert Event.objects.filter(kind="subscription.ended").values("account").distinct().count() == ACCOUNTS
    assert Event.objects.filter(kind="subscription.ended").count() == ACCOUNTS
    assert Notice.objects.exclude(sent_at=None).count() == Notice.objects.count() == ACCOUNTS
    assert len(list(tmp_path.glob("*.eml"))) == ACCOUNTS
