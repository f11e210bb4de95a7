"""A purge under `kill -9`, and beside whoever calls it off at the same moment."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from accounts.blueprints.models import Blueprint
from accounts.core.write_guard import BeingErased
from accounts.customers.history import Actor
from accounts.erasure import purge, starting, statements
from accounts.erasure.certificates import faults
from accounts.erasure.holds import set_hold
from accounts.erasure.runner import erase, take_turn
from accounts.erasure.scheduling import TooLate, call_off
from accounts.models import Account, Certificate, DepartingPerson, Event, Membership, Purge, Role, User
from tests.accounts.erasure.dumping import database_url
from tests.accounts.erasure.purging import erased_events, oblige
from tests.factories import NOW, AccountFactory, BlueprintFactory, UserFactory

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]

BLUEPRINTS, MEMBERS, FILES = 6000, 300, 400
KILLS = 50
#: Far more than a worker needs to begin, on a machine that is busy with other things.
PATIENCE_SECONDS = 180


def fill(folder: Path) -> Account:
    account: Account = AccountFactory()
    people = User.objects.bulk_create([User(email=f"member{n}@example.org") for n in range(MEMBERS)])
    Membership.objects.bulk_create([Membership(account=account, user=person, role=Role.USER) for person in people])
    blueprints = [Blueprint(account=account, name=str(number)) for number in range(BLUEPRINTS)]
    pictures = folder / "thumbnails" / str(account.pk)
    pictures.mkdir(parents=True)
    for blueprint in blueprints[:FILES]:
        blueprint.thumbnail = f"thumbnails/{account.pk}/{blueprint.pk}.svg"
        (folder / str(blueprint.thumbnail)).write_text("<svg/>")
    Blueprint.objects.bulk_create(blueprints)
    return account


#: Starts once, then forks a worker for every instant that it reads, and says its number and, later, how it ended.
NURSERY = """
import os, sys, django
django.setup()
from django.core.management import call_command
for line in sys.stdin:
    worker = os.fork()
    if worker == 0:
        call_command("sweep", "purge", "--at", line.strip(), stdout=open(os.devnull, "w"))
        os._exit(0)
    print(worker, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
"""


@contextmanager
def nursery(data: Path) -> Iterator["subprocess.Popen[str]"]:
    """Makes processes that carry out what is due in this test's database, without waiting for Python to start."""
    environment = {"DATABASE_URL": database_url(), "DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "config.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        env={**os.environ, **environment},
        cwd=settings.BASE_DIR,
        text=True,
        bufsize=1,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def sweep(workers: "subprocess.Popen[str]", at: datetime) -> int:
    """Start `manage.py sweep purge --at …` in a process of its own. Returns its number."""
    assert workers.stdin
    assert workers.stdout
    workers.stdin.write(f"{at.isoformat()}\n")
    return int(workers.stdout.readline())


def ended(workers: "subprocess.Popen[str]") -> int:
    """Wait for the end of the process started last. Returns its exit code."""
    assert workers.stdout
    return int(workers.stdout.readline())


def wait_until_further(row: Purge, **before: object) -> None:
    """Until the purge no longer has these values."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while Purge.objects.filter(pk=row.pk, **before).exists():
        assert time.monotonic() < give_up, "the worker does not work"
        time.sleep(0.002)


def test_a_purge_killed_again_and_again_finishes_with_right_counts_and_one_certificate(tmp_path: Path) -> None:
    account, bystander = fill(tmp_path / "media"), BlueprintFactory()
    row = oblige(account)
    # Small chunks, so that there is always one to be killed in.
    Purge.objects.filter(pk=row.pk).update(chunk=3)
    # Each run comes after the lease of the one killed before it.
    runs = (NOW + number * (Purge.LEASE + timedelta(seconds=1)) for number in range(1000))
    chance = random.Random(20260317)  # noqa: S311  # the same moments in every run of this test
    stages = set()
    with nursery(tmp_path) as workers:
        for at, _kill in zip(runs, range(KILLS), strict=False):
            before = Purge.objects.get(pk=row.pk)
            worker = sweep(workers, at)
            wait_until_further(row, next_attempt_at=before.next_attempt_at)
            # Killed while it begins its turn, or once it has come further: however busy the machine is, both happen.
            if chance.random() < 0.7:
                wait_until_further(row, progress=before.progress)
            time.sleep(chance.uniform(0, 0.05))
            os.kill(worker, signal.SIGKILL)
            assert ended(workers) == -signal.SIGKILL, "a kill came after the end"
            stages.add(json.dumps(Purge.objects.get(pk=row.pk).progress))
        assert not Certificate.objects.exists()
        assert len(stages) > KILLS // 2, "most kills came too early to prove anything"
        Purge.objects.filter(pk=row.pk).update(chunk=2000)

        sweep(workers, next(runs))
        assert ended(workers) == 0

    row.refresh_from_db()
    erased = row.erased()
    assert (erased["blueprints.Blueprint"], erased["accounts.User"]) == (BLUEPRINTS, MEMBERS + 1)
    assert (erased["accounts.Membership"], erased["accounts.Account"], erased["files"]) == (MEMBERS + 1, 1, FILES)
    assert (row.attempts, row.last_error, erased_events(account.pk)) == (0, "", 1)
    assert Certificate.objects.get().body["erased"] == erased
    assert list(faults()) == []
    assert list(Blueprint.objects.all()) == [bystander]
    assert not DepartingPerson.objects.exists()
    assert list((tmp_path / "media").rglob("*.svg")) == []


def together(*calls: Any) -> list[Any]:
    """Run the calls in threads that all start at the same moment; what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Any) -> Any:
        barrier.wait(timeout=PATIENCE_SECONDS)
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result(timeout=PATIENCE_SECONDS) for future in [threads.submit(run, call) for call in calls]]


def test_undo_and_start_in_the_same_moment_have_exactly_one_winner() -> None:
    chance = random.Random(20260317)  # noqa: S311  # the same staggers in every run
    outcomes: set[str] = set()
    for number in range(300):
        if number >= 40 and len(outcomes) == 2:
            break
        account: Account = AccountFactory()
        row = oblige(account)

        def undo(account: Account = account) -> bool:
            time.sleep(chance.uniform(0, 0.004))
            return call_off(account, at=NOW, by=Actor.system())

        def begin(row: Purge = row) -> bool:
            time.sleep(chance.uniform(0, 0.004))
            return starting.start(row, at=NOW)

        undone, begun = together(undo, begin)
        row.refresh_from_db()
        account.refresh_from_db()
        story = list(Event.objects.filter(account=account).order_by("id").values_list("kind", flat=True))
        if begun is True:
            outcomes.add("begun")
            assert isinstance(undone, TooLate)
            assert (row.called_off_at, row.started_at, account.purging_at) == (None, NOW, NOW)
            assert story == ["purge.scheduled", "purge.started"]
            assert DepartingPerson.objects.of(account.pk).count() == 1
        else:
            outcomes.add("undone")
            assert (undone, begun) == (True, False)
            assert (row.called_off_at, row.started_at, account.purging_at) == (NOW, None, None)
            assert story == ["purge.scheduled", "purge.called_off"]
            assert not DepartingPerson.objects.of(account.pk).exists()
    # Both must have happened at least once, or nothing was raced.
    assert outcomes == {"begun", "undone"}


def test_started_by_many_at_the_same_moment_it_begins_once() -> None:
    account: Account = AccountFactory()
    row = oblige(account)
    begun = together(*[lambda: starting.start(Purge.objects.get(pk=row.pk), at=NOW)] * 8)
    assert sorted(begun) == [False] * 7 + [True]
    assert Event.objects.filter(account=account, kind="purge.started").count() == 1
    assert DepartingPerson.objects.of(account.pk).count() == 1


def test_two_workers_side_by_side_erase_once_and_count_once() -> None:
    account: Account = AccountFactory()
    Blueprint.objects.bulk_create([Blueprint(account=account, name=str(number)) for number in range(300)])
    row = oblige(account)
    Purge.objects.filter(pk=row.pk).update(chunk=10)
    assert starting.start(row, at=NOW)
    done = together(*[lambda: erase(Purge.objects.get(pk=row.pk), NOW)] * 3)
    assert done.count(True) == 1, done
    row.refresh_from_db()
    assert row.erased()["blueprints.Blueprint"] == 300
    assert Certificate.objects.count() == erased_events(account.pk) == 1


def test_certificates_of_workers_side_by_side_form_one_chain() -> None:
    rows = [oblige(AccountFactory()) for _number in range(12)]
    thirds = [rows[start::3] for start in range(3)]
    together(*[lambda part=part: [take_turn(row, NOW) for row in part] for part in thirds])
    assert Certificate.objects.count() == 12
    assert list(faults()) == []


def test_whoever_writes_while_it_starts_is_either_erased_or_refused() -> None:
    written: set[bool] = set()
    chance = random.Random(20260317)  # noqa: S311
    for number in range(60):
        if number >= 8 and len(written) == 2:
            break
        account: Account = AccountFactory()
        row = oblige(account)

        # Each of the two is held back in turn, so that each comes first in some rounds, however busy the machine is.
        pauses = [chance.uniform(0, 0.03), 0.0][:: 1 if number % 2 else -1]

        def draw(account: Account = account, pause: float = pauses[0]) -> Any:
            time.sleep(pause)
            return BlueprintFactory(account=account)

        def begin(row: Purge = row, pause: float = pauses[1]) -> bool:
            time.sleep(pause)
            return starting.start(row, at=NOW)

        drawn, begun = together(draw, begin)
        assert begun is True
        assert take_turn(row, NOW), Purge.objects.get(pk=row.pk).last_error
        assert not Blueprint.objects.exists()
        written.add(isinstance(drawn, Blueprint))
        assert isinstance(drawn, Blueprint) or "being erased" in str(drawn) or isinstance(drawn, BeingErased)
    assert written == {True, False}


def test_a_hold_set_while_a_chunk_is_erased_stops_the_next_one() -> None:
    account: Account = AccountFactory()
    agent = Actor.staff(UserFactory(is_staff=True))
    Blueprint.objects.bulk_create([Blueprint(account=account, name=str(number)) for number in range(2000)])
    row = oblige(account)
    Purge.objects.filter(pk=row.pk).update(chunk=1)

    def hold() -> int:
        while Blueprint.objects.count() == 2000:
            time.sleep(0.001)
        set_hold(account, reason="Case 12", until=NOW + timedelta(days=1), at=NOW, by=agent)
        return Blueprint.objects.count()

    done, left = together(lambda: take_turn(row, NOW), hold)
    assert done is False
    assert 0 < left == Blueprint.objects.count()


def test_a_chunk_that_takes_too_long_is_halved_until_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "STATEMENT_TIMEOUT", 300)
    account: Account = AccountFactory()
    Blueprint.objects.bulk_create([Blueprint(account=account, name=str(number)) for number in range(40)])
    # Each row takes a hundredth of a second, as on a disk that is busy.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.01); RETURN OLD; END $$;
            CREATE TRIGGER dawdle BEFORE DELETE ON accounts_blueprint FOR EACH ROW EXECUTE FUNCTION dawdle();
            """
        )
    try:
        row = oblige(account)
        Purge.objects.filter(pk=row.pk).update(chunk=64)
        assert take_turn(row, NOW)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION dawdle CASCADE")
    row.refresh_from_db()
    assert (row.chunk, row.attempts, row.erased()["blueprints.Blueprint"]) == (16, 0, 40)


@contextmanager
def locked(blueprint: Blueprint) -> Iterator[None]:
    """Somebody else holds this row."""
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Blueprint.objects.select_for_update().get(pk=blueprint.pk)
            holding.set()
            release.wait(timeout=PATIENCE_SECONDS)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(timeout=PATIENCE_SECONDS)
    try:
        yield
    finally:
        release.set()
        thread.join()


def test_a_locked_row_makes_it_wait_and_not_halve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LOCK_TIMEOUT", 50)
    account: Account = AccountFactory()
    blueprint = BlueprintFactory(account=account)
    row = oblige(account)
    with locked(blueprint):
        assert not take_turn(row, NOW)
    row.refresh_from_db()
    assert (row.chunk, row.attempts) == (purge.CHUNK, 1)
    assert row.last_error.startswith("LockNotAvailable")
    assert take_turn(row, NOW)
