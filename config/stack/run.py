"""`make run`: the whole product at one address, with nothing to install and nothing to set.

Who calls: the Makefile, `python -m config.stack`. In order: checks that can fail with one clear line; PostgreSQL and
a Redis-protocol server inside `DATA_DIR` (unless DATABASE_URL or REDIS_URL name others); the environment, written to
`$DATA_DIR/stack.env` for commands run beside; migrations, translations, static files, demo data; then web server,
worker and beat, in the foreground, until Ctrl-C or SIGTERM.
"""

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import quote

import environ
import psutil
import psycopg
import redis

from accounts.jobs.queues import ENDS_WITHIN, GRACE, Queue
from config.stack import servers as embedded
from config.stack import supervisor

PROJECT = Path(__file__).resolve().parents[2]

DEFAULT_PORT = "8000"
HIGHEST_PORT = 65_535
#: A server named in the environment must answer within this time at the start.
REACH_SECONDS = 3
#: Two processes show every fault that several processes can have, and fit a small machine.
WEB_PROCESSES = 2
#: Of each, in which Django works: the default of the setting of this name (`config.server`).
WEB_THREADS = 4
#: Connections that each keeps open, slow and idle ones among them; more wait until they are accepted.
WEB_CONNECTIONS = 2048
#: A request line with its headers comes within so many seconds, and so does the next request over the same connection.
WEB_HEADER_SECONDS = 10
#: A page takes well under a second; what is still running after this long is cut off when the stack ends.
WEB_STOP_SECONDS = 3
#: For each of the two queues: what takes long holds up only what may take long, and one such thing not the next.
WORKER_PROCESSES = 2
#: Bytes of randomness in a token, as the standard library recommends; Fernet takes exactly this many.
SECRET_BYTES = 32

#: Settings that commands run beside the stack must share: all but those of the web server's own process.
SHARED_SETTINGS = (
    "ALLOWED_HOSTS",
    "ALLOW_TIME_TRAVEL",
    "API_CALLS_A_MINUTE",
    "API_TOKENS",
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_EVENTS_TOKEN",
    "AWS_PRODUCT_CODES",
    "AWS_PRODUCT_IDS",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SELLER_ACCOUNT_IDS",
    "AWS_SESSION_TOKEN",
    "AWS_SNS_CERTIFICATE_URL",
    "AWS_SNS_CONFIRM_SUBSCRIPTIONS",
    "AWS_SNS_HOSTS",
    "AWS_SNS_TOPIC_ARNS",
    "AWS_SNS_TRUST_FILE",
    "BEHIND_PROXY",
    "BILLING_ENDPOINT",
    "BILLING_ENDPOINT_SECRETS",
    "BRAND_COLOUR",
    "BRAND_NAME",
    "BRAND_URL",
    "BUY_URL",
    "DATABASE_DIRECT_URL",
    "DATABASE_URL",
    "DEBUG",
    "DEFAULT_FROM_EMAIL",
    "DELIVERY_BODY_DAYS",
    "EMAIL_URL",
    "FIELD_ENCRYPTION_KEYS",
    "GITHUB_API_URL",
    "GITHUB_APP_ID",
    "GITHUB_CANCELLATION",
    "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
    "GITHUB_DRAFT_WEBHOOK_SECRETS",
    "GITHUB_LISTING_SLUG",
    "GITHUB_MUTATION_PAUSE",
    "GITHUB_PRIVATE_KEY",
    "GITHUB_SCOPES",
    "GITHUB_WEBHOOK_SECRETS",
    "GITHUB_WEB_URL",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MEDIA_S3_ACCESS_KEY_ID",
    "MEDIA_S3_ENDPOINT_URL",
    "MEDIA_S3_REGION",
    "MEDIA_S3_SECRET_ACCESS_KEY",
    "MEDIA_STORAGE",
    "METRICS_TOKEN",
    "OUTGOING_ALLOWED_NETWORKS",
    "OUTGOING_CA_FILE",
    "PGBOUNCER",
    "POSTS_A_MINUTE",
    "PRODUCT_APPS",
    "PRODUCT_FILE",
    "PURGE_LEAD_HOURS",
    "ERASURE_LOG_EXTERNAL_IDS",
    "REMOTE_STORES",
    "REDIS_URL",
    "REFUND_LIMIT_CENTS",
    "SECRET_KEY",
    "SENTRY_DSN",
    "SIGN_UP",
    "SITE_URL",
    "STAFF_SECOND_FACTOR",
    "STRIPE_API_KEY",
    "STRIPE_API_URL",
    "STRIPE_CALLS_A_SECOND",
    "STRIPE_FORGET",
    "STRIPE_LIVEMODE",
    "STRIPE_PAGES",
    "STRIPE_WEBHOOK_SECRETS",
    "SUPPORT_EMAIL",
    "TRUSTED_PROXIES",
)
#: Those of them that mean something though they are empty: no product is not the demo's product.
MEANT_THOUGH_EMPTY = ("PRODUCT_APPS",)


class RefusedError(Exception):
    """The stack cannot start as asked. The message is one line that says what to change."""


class Asked(BaseException):
    """SIGINT or SIGTERM came while the stack was still getting ready."""


def main() -> int:
    """Runs the stack; the exit code. 0 also when it was ended by SIGINT or SIGTERM: that is how it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    _end_with_make()
    try:
        take_files(os.environ)
        _run(os.environ)
    except Asked:
        return 0
    except (
        RefusedError,
        supervisor.StackStoppedError,
        embedded.FolderInUseError,
        embedded.ServerStartError,
    ) as failure:
        sys.stderr.write(f"offboard: {failure}\n")
        return 1
    return 0


def prepare() -> None:
    """Brings database, translations and static files up to date; in a process of its own, for its memory.

    One process instead of four commands: most of each would be spent on starting Django.
    """
    import django
    from babel.messages.frontend import CommandLineInterface
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if any(PROJECT.glob("locale/*/LC_MESSAGES/django.po")):
        arguments = ["pybabel", "--quiet", "compile", "-D", "django", "-d", str(PROJECT / "locale")]
        CommandLineInterface().run(arguments)  # type: ignore[no-untyped-call]  # Babel has no types
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("demo", "--if-empty")


def _run(given: Mapping[str, str]) -> None:
    port = checked_port(given.get("PORT") or DEFAULT_PORT)
    folder = checked_folder(given.get("DATA_DIR") or str(PROJECT / "var"))
    with ExitStack() as running:
        running.enter_context(embedded.held(folder))
        check_port_is_free(port)
        if database_url := given.get("DATABASE_URL"):
            check_database(database_url)
        if redis_url := given.get("REDIS_URL"):
            check_redis(redis_url)

        servers: list[embedded.Server] = []
        if not database_url:
            database = running.enter_context(embedded.postgres(folder))
            database_url = database.url
            servers.append(database)
        if not redis_url:
            broker = running.enter_context(embedded.valkey(folder))
            redis_url = broker.url
            servers.append(broker)

        generated = kept_secrets(folder / "secrets.env")
        defaults = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SITE_URL": f"http://127.0.0.1:{port}",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "EMAIL_URL": f"filemail://{quote(str(folder / 'mail'))}",
            "ALLOW_TIME_TRAVEL": "1",
            # The demo's staff sign in with a published password; a second factor would lock out who wants to look.
            "STAFF_SECOND_FACTOR": "0",
            # Receivers are tried out beside the stack.
            "OUTGOING_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        }
        write_environment(folder / "stack.env", shared_environment(given, {**defaults, **generated}))
        os.environ.update(
            {name: given.get(name) or value for name, value in {**defaults, **generated}.items()}
            | {"DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        )
        os.chdir(PROJECT)
        _prepare_in_a_child()
        supervisor.supervise(programs(folder, port=port), servers=servers, folder=folder, port=port)


def programs(folder: Path, *, port: int) -> dict[str, list[str]]:
    """The long-running processes: name and command."""
    python = sys.executable
    # Celery warns every root of arbitrary code in messages; ours carry names of jobs, as JSON.
    celery = [python, "-W", "ignore:::celery.platforms", "-m", "celery", "-A", "config"]
    return {
        supervisor.WEB: [
            *(
                python,
                "-m",
                "granian",
                "--interface",
                "rsgi",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ),
            *(
                "--workers",
                str(WEB_PROCESSES),
                "--backlog",
                str(WEB_CONNECTIONS),
                "--backpressure",
                str(WEB_CONNECTIONS),
                "--http1-header-read-timeout",
                str(WEB_HEADER_SECONDS * 1000),
                "--respawn-failed-workers",
            ),
            # A worker told to stop while it still starts never does, and granian would wait for it for ever.
            *("--workers-kill-timeout", str(WEB_STOP_SECONDS), "--no-ws", "--http", "1", "config.server:application"),
        ],
        **{worker_name(queue): worker(celery, queue) for queue in Queue},
        "beat": [
            *celery,
            "beat",
            "--schedule",
            str(folder / "beat-schedule"),
            "--pidfile",
            "",
            "--loglevel",
            "WARNING",
        ],
    }


def worker_name(queue: Queue) -> str:
    """What the worker of a queue is called among the processes."""
    return f"worker-{queue}"


def worker(celery: Sequence[str], queue: Queue) -> list[str]:
    """The command of the worker of one queue. What runs for too long is interrupted, then killed."""
    limit = ENDS_WITHIN[queue]
    return [
        *(*celery, "worker", "--queues", queue.value, "--hostname", f"{queue.value}@%h"),
        *("--concurrency", str(WORKER_PROCESSES), "--prefetch-multiplier", "1"),
        *("--soft-time-limit", str(limit.seconds), "--time-limit", str((limit + GRACE).seconds)),
        # Gossip and mingle are for workers that must know of each other.
        *("--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
    ]


def checked_port(text: str) -> int:
    """The port, if it is one. Raises RefusedError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= HIGHEST_PORT):
        raise RefusedError(f"PORT must be a number from 1 to {HIGHEST_PORT}, not {text!r}.")
    return int(text)


def check_port_is_free(port: int) -> None:
    """Raises RefusedError if the address cannot be had."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise RefusedError(f"Port {port} is reserved for root. Choose a PORT above 1023.") from None
        except OSError:
            raise RefusedError(f"Port {port} is taken by another program. Stop it, or choose another PORT.") from None


def checked_folder(name: str) -> Path:
    """The data folder, made if missing, as an absolute path. Raises RefusedError if we cannot write there."""
    folder = Path(name).expanduser().absolute()
    try:
        # Others may pass through (PostgreSQL runs as a system user if we are root) but not look around.
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.resolve()
    except (FileExistsError, NotADirectoryError):
        raise RefusedError(f"DATA_DIR is not a folder: {folder}") from None
    except OSError as failure:
        raise RefusedError(f"DATA_DIR cannot be written to: {folder} ({failure.strerror})") from None


def check_database(url: str) -> None:
    """Raises RefusedError unless PostgreSQL answers at this URL."""
    parsed = environ.Env.db_url_config(url)
    if parsed.get("ENGINE") != "django.db.backends.postgresql":
        raise RefusedError("DATABASE_URL must be a PostgreSQL URL: postgres://user:password@host:5432/name")
    options = {**parsed.get("OPTIONS", {}), "connect_timeout": REACH_SECONDS}
    for keyword, name in (
        ("host", "HOST"),
        ("port", "PORT"),
        ("user", "USER"),
        ("password", "PASSWORD"),
    ):
        if parsed[name]:
            options[keyword] = parsed[name]
    try:
        psycopg.connect(dbname=parsed["NAME"], **options).close()
    except psycopg.Error as failure:
        raise RefusedError(f"DATABASE_URL cannot be reached: {_one_line(failure)}") from None


def check_redis(url: str) -> None:
    """Raises RefusedError unless a Redis-protocol server answers at this URL."""
    try:
        with redis.Redis.from_url(
            url,
            socket_connect_timeout=REACH_SECONDS,
            socket_timeout=REACH_SECONDS,
            retry=None,
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as failure:
        raise RefusedError(f"REDIS_URL cannot be reached: {_one_line(failure)}") from None


def take_files(environment: MutableMapping[str, str]) -> None:
    """Put what stands in the file that `NAME_FILE` names in the place of it, for each setting: as the settings read it.

    Else the stack would make up a value of its own, and every process find two. Raises RefusedError.
    """
    for name in SHARED_SETTINGS:
        file = environment.get(f"{name}_FILE")
        if not file:
            continue
        if environment.get(name):
            raise RefusedError(f"{name} and {name}_FILE are both set: which one counts?")
        try:
            # An editor ends a file with a line break, which is no part of a secret.
            environment[name] = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as failure:
            raise RefusedError(f"{name}_FILE: {file} could not be read ({type(failure).__name__}).") from None
        del environment[f"{name}_FILE"]


def kept_secrets(path: Path) -> dict[str, str]:
    """The secrets of this data folder: made up at the first start, the same ever after."""
    kept = dict(line.split("=", 1) for line in path.read_text().splitlines()) if path.exists() else {}
    makers: dict[str, Callable[[], str]] = {
        "SECRET_KEY": partial(secrets.token_urlsafe, SECRET_BYTES),
        "FIELD_ENCRYPTION_KEYS": _fernet_key,
        "API_TOKENS": partial(secrets.token_urlsafe, SECRET_BYTES),
        "GITHUB_WEBHOOK_SECRETS": partial(secrets.token_urlsafe, SECRET_BYTES),
        "AWS_EVENTS_TOKEN": partial(secrets.token_urlsafe, SECRET_BYTES),
    }
    missing = {name: make() for name, make in makers.items() if name not in kept}
    if missing:
        write_environment(path, {**kept, **missing})
    return {**kept, **missing}


def shared_environment(given: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """What commands run beside the stack read: our values, unless the environment gave one.

    Secrets are among them, in a file that only we can read: a command beside the stack must encrypt with the same key.
    A newline in a value, as in a private key, is written as `\\n`, which the settings read back.
    """
    shared = {name: value for name, value in ours.items() if not given.get(name)}
    shared |= {name: "" for name in MEANT_THOUGH_EMPTY if name in given}
    return shared | {name: given[name].replace("\n", "\\n") for name in SHARED_SETTINGS if given.get(name)}


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """Writes KEY=VALUE lines that only we can read, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in sorted(values.items()))
    unfinished.replace(path)


def _prepare_in_a_child() -> None:
    prepared = subprocess.run(
        [sys.executable, "-c", "from config.stack import run; run.prepare()"],
        check=False,
        stdin=subprocess.DEVNULL,
        # Ctrl-C is for us; the child is killed then.
        start_new_session=True,
        preexec_fn=partial(embedded.end_with_parent, signal.SIGKILL),
    )
    if prepared.returncode != 0:
        raise RefusedError("the database could not be prepared; the lines above say why.")


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _one_line(failure: Exception) -> str:
    """The first line of an error message, or its kind."""
    lines: Iterable[str] = str(failure).strip().splitlines()
    return next(iter(lines), type(failure).__name__)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ends the preparation; a second Ctrl-C does not disturb the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise Asked


def _end_with_make() -> None:
    """Started by make, the stack also ends when make is killed: nobody is left then to pass Ctrl-C on."""
    parent = psutil.Process().parent()
    if parent is not None and parent.name() in {"make", "gmake"}:
        embedded.end_with_parent(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
