"""Keeps the processes of the stack running, in the foreground, with supervisor.

Who calls: `config.stack.run`, once everything is prepared. Supervisor runs inside our own process, so one Ctrl-C ends
everything in order. A process that dies is started again, the two servers included; one line of output is one
line on the terminal, with the name of its process before it. Supervisor's own log is `$DATA_DIR/supervisor.log`.
"""

import http.client
import os
import pwd
import shlex
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from contextlib import suppress
from pathlib import Path

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from config.stack.servers import Server, ServerStartError, end_with_parent

#: The web server's name: the stack is ready when this one answers.
WEB = "web"
#: The first answer takes two or three seconds; a slow machine gets twenty times that.
READY_SECONDS = 60
#: How often, and how long, the web server is asked until it answers.
PROBE_PAUSE_SECONDS = 0.1
PROBE_SECONDS = 2
#: What has not ended this long after SIGTERM is killed. With the servers' own limits, Ctrl-C ends within 10 s.
STOP_SECONDS = 5
#: The signals by which processes are asked to end.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
#: A process that keeps dying is tried again for ever, a second later each time: its cause may pass.
RETRIES = 1_000_000
#: Supervisor's log rolls over at this size.
LOG_BYTES = 1_000_000


class StackStoppedError(Exception):
    """The stack ended because it could not go on. The message is one line for the person who started it."""


def supervise(
    programs: Mapping[str, Sequence[str]],
    *,
    servers: Sequence[Server],
    folder: Path,
    port: int,
) -> None:
    """Runs the programs (name and command) until SIGINT or SIGTERM; prints `Ready: …` when the web server answers.

    Raises StackStoppedError if the web server does not come up, or if one of `servers` died and does not start again.
    """
    configuration = folder / "supervisor.conf"
    _write_configuration(configuration, programs, folder=folder)
    options = ForegroundOptions()
    options.realize(["-c", str(configuration)], progname="offboard")
    options.first = True
    options.test = False
    stack = Stack(options, servers=servers, port=port)
    with suppress(ExitNow):
        stack.main()
    options.close_logger()
    if stack.failure:
        raise StackStoppedError(stack.failure)


class ForegroundOptions(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    """Supervisor's options, with two things more for each new process."""

    def fork(self) -> int:
        """The new process ends when we are killed, and hears a signal sent before it has become its program.

        Until then it has our handlers, and would only have noted the signal: then it ended 5 s late, by SIGKILL.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid: int = super().fork()
            if pid == 0:
                end_with_parent(signal.SIGTERM)
                for number in STOP_SIGNALS:
                    signal.signal(number, signal.SIG_DFL)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


class Stack(Supervisor):  # type: ignore[misc]  # as above
    """Supervisor, with what a person at a terminal wants to see."""

    def __init__(self, options: ServerOptions, *, servers: Sequence[Server], port: int) -> None:
        super().__init__(options)
        self.failure = ""
        self._servers = servers
        self._port = port
        self._ready = False
        self._width = max(
            len(process.name) for group in options.process_group_configs for process in group.process_configs
        )
        self._unfinished_lines: defaultdict[str, bytes] = defaultdict(bytes)

    def runforever(self) -> None:
        for event in (
            events.ProcessStateExitedEvent,
            events.ProcessStateBackoffEvent,
            events.ProcessStateStoppedEvent,
        ):
            events.subscribe(event, self._on_end)
        events.subscribe(events.ProcessLogStdoutEvent, self._on_output)
        threading.Thread(target=self._announce, name="announce", daemon=True).start()
        # Supervisor would start the first process only after its first second of waiting.
        for group in self.process_groups.values():
            group.transition()
        super().runforever()

    def tick(self, now: float | None = None) -> None:
        """Supervisor calls this at least once a second."""
        super().tick(now)
        if self.failure or self.stopping:
            return
        try:
            for server in self._servers:
                if server.revive():
                    self._say("stack", f"{server.name} had died; it runs again")
        except ServerStartError as failure:
            self._fail(str(failure))

    def _announce(self) -> None:
        """Waits, in a thread of its own, until the web server answers."""
        deadline = time.monotonic() + READY_SECONDS
        answer = "nothing"
        while time.monotonic() < deadline and not self.failure and not self.stopping:
            answer = _probe(self._port)
            if answer == "200":
                self._ready = True
                _write(f"Ready: http://127.0.0.1:{self._port}\n".encode())
                return
            time.sleep(PROBE_PAUSE_SECONDS)
        if not self.stopping:
            self._fail(f"the web server answered /healthz/ with {answer} for {READY_SECONDS} s")

    def _on_end(self, event: events.ProcessStateEvent) -> None:
        process = event.process
        name = process.config.name
        if process.pid:
            # Each process leads a group; what it started and could not stop itself must not outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if self.stopping or isinstance(event, events.ProcessStateStoppedEvent):
            return
        if name == WEB and not self._ready:
            self._fail("the web server ended before it answered; its last lines, above, say why")
        else:
            self._say("stack", f"{name} ended unexpectedly; it is started again")

    def _on_output(self, event: events.ProcessLogStdoutEvent) -> None:
        name = event.process.config.name
        *lines, rest = (self._unfinished_lines[name] + event.data).split(b"\n")
        self._unfinished_lines[name] = rest
        for line in lines:
            self._say(name, line.decode(errors="replace"))

    def _say(self, name: str, line: str) -> None:
        _write(f"{name:<{self._width}} | {line}\n".encode())

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        self.options.mood = SupervisorStates.SHUTDOWN


def _write_configuration(path: Path, programs: Mapping[str, Sequence[str]], *, folder: Path) -> None:
    parser = RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        # Our own lines are on the terminal; supervisor's go to its log.
        "silent": "true",
        "logfile": _literal(folder / "supervisor.log"),
        "logfile_maxbytes": str(LOG_BYTES),
        "logfile_backups": "1",
        "pidfile": _literal(folder / "supervisor.pid"),
        "childlogdir": _literal(folder),
        "nocleanup": "true",
    }
    if os.geteuid() == 0:
        # Said outright, or supervisor warns that it runs as root.
        parser["supervisord"]["user"] = pwd.getpwuid(0).pw_name
    # One group, so that all are told to stop at the same moment.
    parser["group:stack"] = {"programs": ",".join(programs)}
    for name, command in programs.items():
        parser[f"program:{name}"] = {
            "command": _literal(shlex.join(command)),
            "autorestart": "true",
            "startretries": str(RETRIES),
            "stopwaitsecs": str(STOP_SECONDS),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": "NONE",
            "stdout_events_enabled": "true",
        }
    with path.open("w") as file:
        parser.write(file)


def _literal(value: object) -> str:
    """A value in which supervisor is to expand nothing."""
    return str(value).replace("%", "%%")


def _probe(port: int) -> str:
    """The status with which the web server answers /healthz/, or what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/healthz/")
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as failure:
        return str(failure) or type(failure).__name__
    finally:
        connection.close()


def _write(line: bytes) -> None:
    """Prints at once. With the reader gone (`make run | head`) the stack goes on, silently."""
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
