"""`make run`, for real: each test starts the launcher as a person would."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from config import settings
from config.celery import NICENESS
from config.stack import servers
from config.stack.run import SHARED_SETTINGS, RefusedError, shared_environment, take_files

PROJECT = Path(__file__).resolve().parents[2]

#: Far more than a start or a stop takes, also on a machine that runs other tests beside and is several times as slow:
#: seconds are measured on a quiet one. Who waits this long has failed.
LIMIT_SECONDS = 300
#: What is left of a stack whose launcher was killed ends by itself, without waiting for anything.
ORPHANED_SECONDS = 120
#: Seconds at most between an ask and its answer with every slow worker busy; a few tenths on a quiet machine.
BESIDE_SECONDS = 120


#: Python for `manage.py shell`.
USERS = "__import__('django.contrib.auth', fromlist=['get_user_model']).get_user_model().objects"


@dataclass
class Launched:
    """A running launcher; its output, both streams, goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path
    environment: dict[str, str]

    def wait_until_ready(self) -> None:
        wait_until(lambda: "Ready: http" in self.output.read_text() or self.process.poll() is not None)
        assert f"Ready: http://127.0.0.1:{self.environment['PORT']}" in self.output.read_text().splitlines()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process | None:
        """The worker's main process."""
        for process in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "worker" in process.cmdline() and "celery" in process.cmdline():
                    return process
        return None

    def interrupt(self) -> int:
        """Ctrl-C, twice, as impatient people do; the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LIMIT_SECONDS)


Launch = Callable[..., Launched]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of our own: pytest closes its own to other users whenever another pytest starts.

    Started by root, PostgreSQL runs as such another user.
    """
    with tempfile.TemporaryDirectory(prefix="offboard-stack-", ignore_cleanup_errors=True) as name:
        path = Path(name).resolve()
        path.chmod(0o711)
        yield path


@pytest.fixture
def launch(folder: Path) -> Iterator[Launch]:
    """Starts the launcher on a free port with a data folder of its own; what is left at the end is killed."""
    launched: list[Launched] = []

    def start(**environment: str) -> Launched:
        full = bare_environment() | {"PORT": str(free_port()), "DATA_DIR": str(folder / "data")} | environment
        output = folder / f"output-{len(launched)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "config.stack"],
                cwd=PROJECT,
                env=full,
                stdout=file,
                stderr=file,
            )
        launched.append(Launched(process, output, full))
        return launched[-1]

    yield start
    for one in launched:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(LIMIT_SECONDS)


@pytest.mark.stack
def test_the_stack_heals_keeps_its_data_is_quick_beside_slow_work_and_ends_when_killed(
    launch: Launch,
) -> None:
    """One story of three starts: each is ten processes, and only the first makes everything."""
    begun = time.monotonic()
    first = launch()
    first.wait_until_ready()
    taken_first = time.monotonic() - begun
    manage(first, "shell", "-c", f"{USERS}.create_user(email='new@direct.example')")

    killed = first.worker()
    assert killed is not None
    # Its processes yield to the web server's.
    wait_until(lambda: NICENESS in {process.nice() for process in killed.children()})
    killed.kill()
    wait_until(lambda: (worker := first.worker()) is not None and worker.pid != killed.pid)

    family = first.family()
    assert first.interrupt() == 0
    assert [process for process in family if process.is_running()] == []
    # The launcher's own lines: a worker told to stop while it starts may complain, behind its name.
    assert "Traceback (most recent call last):" not in first.output.read_text().splitlines()

    begun = time.monotonic()
    second = launch(PORT=first.environment["PORT"])
    second.wait_until_ready()
    assert time.monotonic() - begun < taken_first, "the second start took as long as the first, which makes everything"

    # With every slow worker busy, what somebody waits for is done as soon as ever: ten minutes of it, asked for by beat
    # alone, see `tests.config.busy`.
    measure = (
        "from tests.config import busy; busy.measure(by_hand=True); "
        f"print({USERS}.filter(email='new@direct.example').count(), 'kept')"
    )
    told, kept = manage(second, "shell", "--no-imports", "-c", measure).splitlines()
    assert kept == "1 kept"
    (beside,) = json.loads(told)["busy"]
    assert beside.keys() == {"delivery", "mail", "settled"}
    assert max(beside.values()) < BESIDE_SECONDS

    family = second.family()
    second.process.kill()
    second.process.wait()
    if sys.platform == "linux":
        _gone, alive = psutil.wait_procs(family, timeout=ORPHANED_SECONDS)
        assert alive == []
    third = launch(PORT=first.environment["PORT"])
    third.wait_until_ready()
    assert third.interrupt() == 0


def test_a_folder_that_another_stack_holds_is_refused(launch: Launch, tmp_path: Path) -> None:
    with servers.held(tmp_path):
        line = refusal(launch(DATA_DIR=str(tmp_path)))

    assert line == f"offboard: {tmp_path} is in use by another running stack."


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_refused(launch: Launch, port: str) -> None:
    assert refusal(launch(PORT=port)) == f"offboard: PORT must be a number from 1 to 65535, not {port!r}."


def test_a_taken_port_is_refused(launch: Launch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]

        line = refusal(launch(PORT=str(port)))

    assert line == f"offboard: Port {port} is taken by another program. Stop it, or choose another PORT."


def test_a_file_in_place_of_the_data_folder_is_refused(launch: Launch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert refusal(launch(DATA_DIR=str(file))) == f"offboard: DATA_DIR is not a folder: {file}"
    assert refusal(launch(DATA_DIR=str(file / "below"))) == f"offboard: DATA_DIR is not a folder: {file / 'below'}"


def test_an_unreachable_database_is_refused(launch: Launch) -> None:
    line = refusal(launch(DATABASE_URL=f"postgres://someone:hidden@127.0.0.1:{free_port()}/offboard"))

    assert line.startswith("offboard: DATABASE_URL cannot be reached: ")
    assert "hidden" not in line


def test_an_unreachable_redis_is_refused(launch: Launch) -> None:
    line = refusal(launch(REDIS_URL=f"redis://:hidden@127.0.0.1:{free_port()}/0"))

    assert line.startswith("offboard: REDIS_URL cannot be reached: ")
    assert "hidden" not in line


def test_commands_beside_the_stack_share_every_setting_but_those_of_the_web_server() -> None:
    assert settings.env.asked - set(SHARED_SETTINGS) == {"STATIC_ROOT", "WEB_THREADS"}


def test_no_product_is_no_product_for_the_commands_beside_either() -> None:
    assert shared_environment({"PRODUCT_APPS": "", "BRAND_NAME": ""}, {}) == {"PRODUCT_APPS": ""}
    assert shared_environment({}, {}) == {}


def test_a_setting_in_a_file_counts_for_the_stack_and_for_the_commands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("as long as a key of Django's\n")
    environment = {"SECRET_KEY_FILE": str(tmp_path / "key"), "BRAND_NAME": "Acme", "PRODUCT_FILE": "product.toml"}
    take_files(environment)
    assert environment == {
        "SECRET_KEY": "as long as a key of Django's",
        "BRAND_NAME": "Acme",
        "PRODUCT_FILE": "product.toml",
    }
    assert shared_environment(environment, {"SECRET_KEY": "made up"})["SECRET_KEY"] == "as long as a key of Django's"


def test_a_setting_that_is_given_twice_or_can_not_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="API_TOKENS and API_TOKENS_FILE are both set"):
        take_files({"API_TOKENS": "one", "API_TOKENS_FILE": str(tmp_path / "key")})
    with pytest.raises(RefusedError, match=r"API_TOKENS_FILE: .* could not be read \(FileNotFoundError\)"):
        take_files({"API_TOKENS_FILE": str(tmp_path / "nowhere")})


def refusal(launched: Launched) -> str:
    """The one line that a launcher prints that refuses to start."""
    assert launched.process.wait(LIMIT_SECONDS) == 1
    (line,) = launched.output.read_text().splitlines()
    return line


def manage(launched: Launched, *arguments: str) -> str:
    """What a command prints that runs beside the stack, knowing only its data folder."""
    environment = bare_environment() | {"DATA_DIR": launched.environment["DATA_DIR"]}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    ).stdout


def bare_environment() -> dict[str, str]:
    """Our environment without the settings of the tests."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def wait_until(fulfilled: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not fulfilled():
        assert time.monotonic() < deadline, f"waited for {LIMIT_SECONDS} s in vain"
        time.sleep(0.05)
