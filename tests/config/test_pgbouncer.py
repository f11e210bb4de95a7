"""Behind a PgBouncer that pools transactions: everything works, and nothing is left in a session that others get."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from accounts.blueprints.models import Blueprint
from accounts.models import Certificate, Notice
from config.stack.servers import SYSTEM_USER
from subscriptions.models import Subscription
from tests.accounts.erasure.dumping import database_url
from tests.accounts.erasure.purging import fill, oblige
from tests.config.test_stack import wait_until
from tests.factories import NOW, AccountFactory, UserFactory, subscribe

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.concurrency,
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="PgBouncer is not installed"),
]
DAY = timedelta(days=1)


@pytest.fixture
def pooled() -> Iterator[dict[str, str]]:
    """A PgBouncer before the test's database, with two sessions for everybody: the environment that leads there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    database = connection.settings_dict
    host = database["OPTIONS"].get("host") or database["HOST"]
    folder = Path(tempfile.mkdtemp(prefix="offboard-pgbouncer-"))
    folder.chmod(0o711)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={host} user={database['USER']}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    # It refuses to be root; the servers of a root's tests are another user's, too.
    user = pwd.getpwnam(SYSTEM_USER).pw_uid if os.geteuid() == 0 else None
    bouncer = subprocess.Popen(["pgbouncer", "--quiet", str(configuration)], user=user)
    url = f"postgres://{database['USER']}@127.0.0.1:{port}/{database['NAME']}"
    wait_until(lambda: answers(url))
    yield {**os.environ, "PGBOUNCER": "1", "DATABASE_URL": url, "DATABASE_DIRECT_URL": database_url()}
    bouncer.terminate()
    bouncer.wait()
    shutil.rmtree(folder)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def manage(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{done.stdout}{done.stderr}exit {done.returncode}"


def test_sweeps_and_commands_work_and_leave_nothing_in_a_session(pooled: dict[str, str], tmp_path: Path) -> None:
    for _number in range(3):
        subscribe(AccountFactory(owner=UserFactory()), at=NOW - 60 * DAY, ends_at=NOW)
    person = UserFactory()
    leaving = AccountFactory(owner=person)
    fill(leaving, person, "zqmk71x")
    oblige(leaving)
    at = (NOW + DAY).isoformat()
    told = manage(pooled, "sweep", "settle", "remind", "deliveries", "export", "notices", "purge", "--at", at)
    assert told.endswith("exit 0"), told
    assert "purge: 1 done" in told
    assert not Subscription.objects.ended(NOW + DAY).unsettled().exists()
    assert not Notice.objects.filter(sent_at=None).exists()
    assert Certificate.objects.count() == 1
    assert not Blueprint.objects.filter(account_id=leaving.pk).exists()
    # What reads row by row, and what needs a session of its own.
    assert manage(pooled, "certificates", "--verify") == "1 certificates, all sound.\nexit 0"
    assert manage(pooled, "sweep", "--dry-run", "--at", "2031-01-01T00:00:00Z").endswith("exit 0")
    assert manage(pooled, "backup", str(tmp_path / "backup")).endswith("exit 0")
    with psycopg.connect(pooled["DATABASE_URL"], prepare_threshold=None) as one:
        left = one.execute(
            "SELECT current_setting('synchronous_commit'), current_setting('lock_timeout'),"
            "       current_setting('statement_timeout'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
            "       (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors)"
        ).fetchone()
    assert left is not None
    assert left[1:] == ("0", "0", 0, 0, 0)


def test_a_sweep_that_runs_alone_does_so_there_too(pooled: dict[str, str]) -> None:
    from accounts.core.locks import Lock

    with psycopg.connect(database_url()) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [Lock.SWEEP, "aws-reconcile"])
        assert "aws-reconcile: another run is at work" in manage(pooled, "sweep", "aws-reconcile")
    assert "another run" not in manage(pooled, "sweep", "aws-reconcile")


def test_migrations_go_past_it(pooled: dict[str, str]) -> None:
    assert manage(pooled, "migrate", "--verbosity", "0") == "exit 0"
    nowhere = {**pooled, "DATABASE_DIRECT_URL": "postgres://offboard@127.0.0.1:1/offboard"}
    assert "refused" in manage(nowhere, "migrate", "--verbosity", "0")
