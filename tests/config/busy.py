"""Keeps both workers of the `slow` queue of a running stack busy, and measures what the `now` queue does meanwhile.

`manage.py shell -c "from tests.config import busy; busy.measure(seconds=600)"` beside `make run` is the long way;
`tests/config/test_stack.py` has the short one.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from celery import current_app
from django.db import connection

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.inbox import inbox
from accounts.inbox.sources import SOURCES
from accounts.mail.notices import queue
from accounts.models import Account, Delivery, Membership, Notice, Role, User
from subscriptions.models import Channel, Interval, Plan, Subscription
from subscriptions.starting import start

#: Nothing that is measured here takes this long.
LIMIT_SECONDS = 150.0


def measure(*, seconds: float = 0, by_hand: bool = False) -> None:
    """Print, as JSON, how long each kind of work took at rest and, for so many seconds, beside busy slow workers.

    `by_hand`: the sweeps are asked for at once, as beat would do a little later.
    """
    rest = [_round(by_hand)]
    busy: list[dict[str, float]] = []
    with _slow_workers_busy():
        began = time.monotonic()
        while not busy or time.monotonic() - began < seconds:
            busy.append(_round(by_hand))
        assert _waiting() == len(_LOCKED), "the slow workers were not busy to the end"
    sys.stdout.write(json.dumps({"rest": rest, "busy": busy}) + "\n")


#: Sweeps of the slow queue that wait for a table, for as long as somebody else has it.
_LOCKED = {"retention": "subscriptions_billingrecord", "sessions": "accounts_session"}


@contextmanager
def _slow_workers_busy() -> Iterator[None]:
    with psycopg.connect(**connection.get_connection_params()) as own:
        for table in _LOCKED.values():
            own.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        for name in _LOCKED:
            current_app.send_task("accounts.sweep", args=[name])
        _wait(lambda: _waiting() == len(_LOCKED))
        yield
        own.rollback()


def _waiting() -> int:
    """How many connections wait for one of the tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = ANY(%s::regclass[]::oid[])",
            [list(_LOCKED.values())],
        )
        return int(cursor.fetchone()[0])


def _round(by_hand: bool) -> dict[str, float]:
    """One delivery, one mail, one end of a subscription: how many seconds each took."""
    now, key = clock.now(), str(uuid.uuid4())
    account = Account.objects.create(name="Beside", created_at=now)
    owner = User.objects.create_user(email=f"{key}@example.org")
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    inbox.accept(
        SOURCES.named("github"), delivery_id=key, event="ping", content_type="application/json", body=b"{}", at=now
    )
    inbox.nudge()
    queue("accounts/export_ready", to=[owner], account=account, occasion=key, at=now, expires_at=now)
    ended = start(
        account,
        plan=Plan.objects.get(code="pro"),
        channel=Channel.DATADOG_SALES,
        interval=Interval.MONTHLY,
        by=Actor.system(),
        at=now - timedelta(days=1),
        ends_at=now,
    )
    if by_hand:
        for name in ("notices", "settle"):
            current_app.send_task("accounts.sweep", args=[name])
    waited: dict[str, Callable[[], bool]] = {
        "delivery": lambda: Delivery.objects.filter(delivery_id=key, processed_at__isnull=False).exists(),
        "mail": lambda: Notice.objects.filter(occasion=key, sent_at__isnull=False).exists(),
        "settled": lambda: Subscription.objects.filter(pk=ended.pk, settled_at__isnull=False).exists(),
    }
    taken: dict[str, float] = {}
    began = time.monotonic()
    while waited:
        for name in [name for name, is_done in waited.items() if is_done()]:
            taken[name] = round(time.monotonic() - began, 2)
            del waited[name]
        assert time.monotonic() - began < LIMIT_SECONDS, f"not done in time: {list(waited)}"
        time.sleep(0.05)
    return taken


def _wait(fulfilled: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not fulfilled():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
