"""The web server and the workers under load: exactly the commands of `make run`, with other settings or databases."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psutil

from accounts.jobs.queues import Queue
from bench.measuring import WrongAnswerError, require
from bench.stage import Stage
from config.stack import run as stack
from config.stack import servers, supervisor

#: As many clients as the web server has threads keep it busy.
THREADS = stack.WEB_PROCESSES * stack.WEB_THREADS
#: Ten times what a start takes, for machines that do something else beside.
START_SECONDS = 120
STOP_SECONDS = 5


@dataclass(frozen=True)
class WebServer:
    """A running one. `pid` is the process whose children answer."""

    port: int
    pid: int

    def used(self) -> float:
        """The processor time that it has used so far, in seconds, its children's included."""
        process = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(each.user + each.system for each in times)


@contextmanager
def web_server(
    stage: Stage, database: str, *, settings: str = "config.settings", redis: str = ""
) -> Iterator[WebServer]:
    """The web server with these settings, this database and, if given, this Redis; it answers when the block begins."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with _program(stage, supervisor.WEB, database, port=port, settings=settings, redis=redis) as (process, log):
        _wait_for(port, process, log)
        yield WebServer(port=port, pid=process.pid)


@contextmanager
def worker(stage: Stage, queue: Queue, database: str, *, redis: str) -> Iterator[None]:
    """The worker of this queue in `make run`, with this database and this Redis; nothing asks by the clock."""
    with _program(stage, stack.worker_name(queue), database, redis=redis):
        yield


@contextmanager
def _program(
    stage: Stage, name: str, database: str, *, port: int = 0, settings: str = "config.settings", redis: str = ""
) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
    """A process of `make run`, and its log; it ends with the block."""
    environment = {
        **os.environ,
        "DATABASE_URL": _url(stage, database),
        "DJANGO_SETTINGS_MODULE": settings,
        "REDIS_URL": redis or os.environ["REDIS_URL"],
    }
    with (stage.folder / f"{name}-{database}-{port}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own program
            stack.programs(stage.folder, port=port)[name],
            cwd=stack.PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us: we end the program. Not a session of its own: `make run` has one for all, and between
            # sessions Linux shares the processors out before it asks how nice a process is.
            process_group=0,
            preexec_fn=partial(servers.end_with_parent, signal.SIGTERM),
        )
    try:
        yield process, Path(log.name)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # With its children: a worker's go on with what they are at.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _url(stage: Stage, database: str) -> str:
    """Another database of the same server, as DATABASE_URL."""
    return stage.url.replace(f"/{servers.DATABASE_NAME}?", f"/{quote(database)}?")


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
            connection.request("GET", "/healthz/")
            # A server that has only one door says 404 here.
            require(connection.getresponse().status < 500, "the web server is not well")
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise WrongAnswerError(f"the web server did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.05)
