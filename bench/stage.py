"""What every benchmark runs on: servers of its own in a temporary folder, and databases made by copying.

Who calls: `bench.__main__` opens the stage before Django is set up, and hands it to each benchmark. PostgreSQL runs
durably (fsync and synchronous_commit on) with its default settings but for autovacuum, which is off: every measured
run begins on a fresh copy of the same files, so there is nothing to clean up and nothing that cleans up by chance.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from config.stack import servers

#: When this run began; progress counts from here.
BEGUN = time.perf_counter()
#: The token with which benchmarks ask the product's API.
API_TOKEN = "bench-api-token"  # noqa: S105  # opens nothing but this run's own server
#: What migrations left: the database that all others are copied from.
EMPTY = servers.DATABASE_NAME


@dataclass(frozen=True)
class Scale:
    """How much is measured. `rounds` is how often each candidate is measured, interleaved with the others."""

    name: str
    subscriptions: int
    ending: int
    rounds: int
    #: Calls, or requests, whose median makes one measurement of something that takes milliseconds.
    calls: int
    #: Length of one measurement of throughput.
    load_seconds: float


#: Does everything once or twice, to show that it runs: a test of the suite.
SMALL = Scale("small", subscriptions=3_000, ending=300, rounds=2, calls=2, load_seconds=0.3)
FULL = Scale("full", subscriptions=1_000_000, ending=100_000, rounds=5, calls=50, load_seconds=3)
SCALES = {scale.name: scale for scale in (SMALL, FULL)}


@dataclass
class Stage:
    """The servers, and the databases on them."""

    folder: Path
    url: str
    scale: Scale
    _made: set[str] = field(default_factory=lambda: {EMPTY})

    def connect(self, database: str) -> psycopg.Connection:
        """A bare connection that commits every statement."""
        return psycopg.connect(self.url_of(database), autocommit=True)

    def url_of(self, database: str) -> str:
        """The address of a database as the PostgreSQL library takes it."""
        return conninfo.make_conninfo(self.url, dbname=database)

    def copy(self, source: str, target: str) -> None:
        """Make `target` a copy of `source`, file by file: same rows, same indexes, same statistics, same bloat."""
        self.drop(target)
        with self.connect("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(target), sql.Identifier(source)
                )
            )
        self._made.add(target)

    def drop(self, database: str) -> None:
        """Remove a database, if there is one, and whoever is connected to it."""
        self.release()
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        self._made.discard(database)

    def once(self, database: str, fill: Callable[[psycopg.Connection], None]) -> str:
        """The name of a database that `fill` filled: made at the first call, kept for the other benchmarks."""
        if database not in self._made:
            say(f"filling {database} …")
            self.copy(EMPTY, database)
            with self.connect(database) as connection:
                fill(connection)
        return database

    def use(self, database: str) -> None:
        """Make this the database that Django talks to. Its next statement opens a connection."""
        from django.db import connection

        self.release()
        connection.settings_dict["NAME"] = database

    def release(self) -> None:
        """Close Django's connections, so that the database can be copied or dropped."""
        from django.db import DEFAULT_DB_ALIAS, connections
        from django.db.backends.postgresql.base import DatabaseWrapper

        connection = connections[DEFAULT_DB_ALIAS]
        connection.close()
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()


@contextmanager
def opened(scale: Scale) -> Iterator[Stage]:
    """Starts the servers, sets the environment, sets Django up and migrates; ends and removes everything afterwards."""
    with ExitStack() as running:
        folder = Path(tempfile.mkdtemp(prefix="offboard-bench-")).resolve()
        running.callback(shutil.rmtree, folder, ignore_errors=True)
        # Others may pass through: started by root, the servers run as a system user.
        folder.chmod(0o711)
        database = running.enter_context(servers.postgres(folder, durable=True))
        broker = running.enter_context(servers.valkey(folder, durable=True))
        os.environ.update(_environment(folder, database=database.url, redis=broker.url))
        stage = Stage(folder=folder, url=database.url, scale=scale)
        with stage.connect(EMPTY) as connection:
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("SELECT pg_reload_conf()")
        _prepare_django()
        running.callback(stage.release)
        yield stage


def say(line: str) -> None:
    """Progress, for whoever waits. The results go to standard output."""
    sys.stderr.write(f"bench: {time.perf_counter() - BEGUN:4.0f} s: {line}\n")
    sys.stderr.flush()


def _environment(folder: Path, *, database: str, redis: str) -> dict[str, str]:
    """Everything the settings read, so that a run measures the same thing on every machine."""
    return {
        "ALLOWED_HOSTS": "*",
        # Whoever measures asks more often than anybody may.
        "API_CALLS_A_MINUTE": "1000000000",
        "API_TOKENS": API_TOKEN,
        "AWS_EVENTS_TOKEN": "bench-aws-events-token",
        "DATABASE_URL": database,
        "DATA_DIR": str(folder),
        "DEBUG": "0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EMAIL_URL": f"filemail://{folder}/mail",
        # A Fernet key: 32 zero bytes in base64.
        "FIELD_ENCRYPTION_KEYS": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "GITHUB_WEBHOOK_SECRETS": "bench-webhook-secret",
        "LOG_LEVEL": "WARNING",
        "REDIS_URL": redis,
        "SECRET_KEY": "bench-secret-key",
        "SITE_URL": "http://testserver",
        "STAFF_SECOND_FACTOR": "0",
        "STRIPE_WEBHOOK_SECRETS": "whsec_bench",
    }


def _prepare_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
