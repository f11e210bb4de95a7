"""Web server, two worker hosts, PostgreSQL and Redis, each on a machine of its own; one worker host is cut off.

In the middle of settling, sending and erasing, all three at once: the other one takes over, the cut-off one comes back,
nothing is lost and nothing is doubled.
"""

import asyncio
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from threading import Event
from typing import LiteralString

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from celery import Celery

from accounts.core import clock
from accounts.mail import notices
from accounts.models import Account
from config.stack.servers import POSTGRES_PROGRAMS, SYSTEM_USER, VALKEY_PROGRAM
from tests.accounts.erasure.dumping import dump, program
from tests.accounts.erasure.purging import oblige
from tests.factories import AccountFactory, BlueprintFactory, UserFactory, subscribe
from tests.machines.network import HERE, NETWORK, Machine, machines

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.concurrency,
    pytest.mark.slow,
]
ENDED, MAILS, BLUEPRINTS = 40, 10, 30
DAY = timedelta(days=1)
#: On a machine that is several times as slow and does other things, too.
LIMIT_SECONDS = 300


class MailServer:
    """Takes every mail; from one machine it takes the first one, and does not get round to saying so until told."""

    def __init__(self, slow_for: str) -> None:
        self.slow_for = slow_for
        self.taken: Counter[str] = Counter()
        self.held, self.go_on = Event(), Event()

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # its name
        assert isinstance(envelope.content, bytes)
        self.taken[str(message_from_bytes(envelope.content)["Message-ID"])] += 1
        if session.peer and session.peer[0] == self.slow_for and not self.held.is_set():
            self.held.set()
            while not self.go_on.is_set():
                await asyncio.sleep(0.02)
        return "250 OK"


def wait_until(so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not so():
        assert time.monotonic() < deadline, f"waited for {LIMIT_SECONDS} s in vain: {what}"
        time.sleep(0.05)


@contextmanager
def running(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        # It leads a group: all that it started ends with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def postgres(machine: Machine, folder: Path) -> Iterator[str]:
    """PostgreSQL on this machine, with what the test's database holds: its DATABASE_URL."""
    user = pwd.getpwnam(SYSTEM_USER)
    home = folder / "postgres"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    initdb = [str(POSTGRES_PROGRAMS / "initdb"), "-D", str(home), "--username=offboard", "--auth=trust", "--no-sync"]
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    subprocess.run([*initdb, *locale], check=True, capture_output=True, user=user.pw_uid, group=user.pw_gid, cwd=home)
    with (home / "pg_hba.conf").open("a") as access:
        access.write(f"host all all {NETWORK}.0/24 trust\n")
    options = {"listen_addresses": machine.address, "unix_socket_directories": "", "fsync": "off", "timezone": "UTC"}
    server = machine.start(
        [
            str(POSTGRES_PROGRAMS / "postgres"),
            *("-D", str(home)),
            *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
        ],
        folder / "postgres.log",
        {"PATH": os.environ["PATH"], "LC_ALL": "C"},
        user=user.pw_uid,
    )
    address = f"postgresql://offboard@{machine.address}:5432"
    url = f"{address}/offboard"
    with running(server):
        maintenance = f"{address}/postgres"
        wait_until(lambda: _answers(maintenance), "PostgreSQL")
        with psycopg.connect(maintenance, autocommit=True) as made:
            made.execute("CREATE DATABASE offboard TEMPLATE template0")
        archive = folder / "archive"
        archive.write_bytes(dump("--format=custom"))
        subprocess.run([program("pg_restore"), "--dbname", url, str(archive)], check=True, capture_output=True)
        yield url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _webs_answer(address: str, path: str, **headers: str) -> int:
    try:
        asked = urllib.request.Request(f"http://{address}:8000{path}", headers=headers)
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310  # of the test's own machine
            return int(answer.status)
    except OSError as error:
        return int(getattr(error, "code", 0))


@pytest.fixture
def customers() -> dict[str, Account]:
    """Subscriptions that have ended, mails that are due, and an account to be erased, as of the clock."""
    now = clock.now()
    for _number in range(ENDED):
        subscribe(AccountFactory(owner=UserFactory()), at=now - 90 * DAY, ends_at=now - timedelta(minutes=10))
    active = AccountFactory(owner=UserFactory())
    subscribe(active, at=now - 5 * DAY)
    for number in range(MAILS):
        occasion = f"test:{number}"
        notices.queue("accounts/request_received", to=[active.owner()], account=active, occasion=occasion, at=now)
    leaving = AccountFactory(owner=UserFactory())
    for account in (active, leaving):
        for _number in range(BLUEPRINTS):
            BlueprintFactory(account=account)
    month_ago = now - 29 * DAY
    oblige(leaving, due_at=now - DAY, received_at=month_ago, deadline_at=now + DAY, at=month_ago)
    return {"active": active, "leaving": leaving}


def test_a_worker_host_that_is_cut_off_in_the_middle_loses_nothing_and_doubles_nothing(
    customers: dict[str, Account],
) -> None:
    with ExitStack() as stack:
        # pytest closes folders of its own to other users; started by root, PostgreSQL runs as such a one.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offboard-machines-")))
        folder.chmod(0o711)
        hosts = stack.enter_context(machines("db", "redis", "web", "one", "two"))
        one = hosts["one"]
        url = stack.enter_context(postgres(hosts["db"], folder))
        redis = ["--bind", hosts["redis"].address, "--protected-mode", "no", "--save", "", "--dir", str(folder)]
        broker = hosts["redis"].start([str(VALKEY_PROGRAM), *redis], folder / "redis.log", {})
        stack.enter_context(running(broker))
        mail = MailServer(slow_for=one.address)
        server = Controller(mail, hostname=HERE, port=2525)
        server.start()
        stack.callback(server.stop)
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_URL": f"redis://{hosts['redis'].address}:6379/0",
            "EMAIL_URL": f"smtp://{HERE}:2525",
            "HOST": hosts["web"].address,
            "WEB_WORKERS": "1",
            "LOG_FORMAT": "json",
        }
        ask = Celery(broker=environment["REDIS_URL"])

        def start(host: str, *command: str) -> None:
            own = {**environment, "DATA_DIR": str(folder / host)}
            process = hosts[host].start([sys.executable, "-m", *command], folder / f"{host}.log", own)
            stack.enter_context(running(process))

        def worker(host: str) -> None:
            queues = ("--queues", "now,slow", "--hostname", host, "--concurrency", "4", "--prefetch-multiplier", "1")
            start(host, "celery", "--quiet", "-A", "config", "worker", *queues)

        admin = stack.enter_context(psycopg.connect(url, autocommit=True))

        def count(rows: LiteralString, *values: object) -> int:
            ((found,),) = admin.execute(f"SELECT count(*) FROM {rows}", values).fetchall()  # noqa: S608  # literals
            return int(found)

        def sessions(address: str, more: LiteralString = "") -> int:
            return count(f"pg_stat_activity WHERE client_addr = %s::inet {more}", address)

        def sweep(*names: str) -> None:
            for name in names:
                ask.send_task("accounts.sweep", args=[name], queue="slow" if name == "purge" else "now")

        # What each of the three does in its transaction waits for us, so that it is in the middle when it is cut off.
        holder = stack.enter_context(psycopg.connect(url))
        holder.execute("LOCK TABLE subscriptions_cancellation, accounts_blueprint IN SHARE MODE")
        start("web", "config.web")
        worker("one")
        waiting = "AND wait_event_type = 'Lock'"
        wait_until(lambda: sessions(one.address, waiting) >= 2, "one settles and erases")
        wait_until(mail.held.is_set, "one sends")

        one.cut_off()
        began = time.monotonic()
        holder.rollback()
        worker("two")
        unsettled: LiteralString = "subscriptions_subscription WHERE ends_at < now() AND settled_at IS NULL"
        unsent: LiteralString = "accounts_notice WHERE sent_at IS NULL"

        def settled_and_sent() -> bool:
            sweep("settle", "notices")
            time.sleep(1)
            return count(unsettled) == 0 and count(unsent) <= 1

        wait_until(settled_and_sent, "two has taken over")
        taken_over_after = time.monotonic() - began
        # The database has noticed that the other one is gone, and let go what it held.
        assert sessions(one.address) == 0
        token = {"Authorization": "Bearer test-api-token"}
        door = f"/api/accounts/{customers['active'].pk}/entitlements/"
        wait_until(lambda: _webs_answer(hosts["web"].address, "/healthz/") == 200, "the web server")
        assert _webs_answer(hosts["web"].address, door, **token) == 200

        mail.go_on.set()
        one.bring_back()

        def works_again() -> bool:
            sweep("github-check", "aws-check")
            return sessions(one.address) > 0

        wait_until(works_again, "one works again")

        def all_done() -> bool:
            # As if the claims of the one that was cut off had run out, ten minutes later.
            admin.execute("UPDATE accounts_notice SET next_attempt_at = now() WHERE next_attempt_at > now()")
            admin.execute("UPDATE accounts_purge SET next_attempt_at = now() WHERE next_attempt_at > now()")
            sweep("notices", "purge")
            time.sleep(1)
            return count(unsent) == 0 and count("accounts_purge WHERE verified_at IS NULL") == 0

        wait_until(all_done, "everything is done")

        ends = admin.execute("SELECT account_id FROM accounts_event WHERE kind = 'subscription.ended'").fetchall()
        assert len(ends) == len(set(ends)) == ENDED
        assert count("accounts_notice") == ENDED + MAILS
        assert len(mail.taken) == ENDED + MAILS
        # The one mail whose "250" never arrived may have gone out again, under the Message-ID that it had.
        assert sum(mail.taken.values()) - len(mail.taken) <= 1
        leaving = customers["leaving"].pk
        assert count("accounts_certificate") == 1
        assert count("accounts_event WHERE account_id = %s AND kind = 'purge.verified'", leaving) == 1
        assert count("accounts_blueprint WHERE account_id = %s", leaving) == 0
        assert count("accounts_blueprint") == BLUEPRINTS
        print(json.dumps({"taken over after": round(taken_over_after, 1)}))  # noqa: T201  # shown with -s
