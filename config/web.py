"""`python -m config.web`: the web server as it runs in production, and how it leaves.

Granian with the options that this product needs, at `PORT` with `WEB_WORKERS` processes. Told to stop (SIGTERM), it
first says so at `/readyz/` (503), for as long as a load balancer may take to notice, and serves on meanwhile; then
granian ends what it is at. So nobody who is sent here meets a closed door.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from accounts.core.leaving import MARK

#: Between saying that we leave and leaving: two rounds of a load balancer that asks every two seconds, and a bit.
NOTICE_SECONDS = 5
#: A page takes well under a second; a long download is sent in pieces, and who is cut off asks again.
KILL_SECONDS = 20
#: Connections that a process keeps open, slow and idle ones among them; more wait until they are accepted.
CONNECTIONS = 2048
#: A request line with its headers comes within so many milliseconds.
HEADER_MILLISECONDS = 10_000


#: Granian's own lines, such as of a process that it starts again, as ours: for a collector of logs.
LOGS = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {"_granian": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}


def command(*, host: str, port: str, workers: str) -> list[str]:
    """Granian's command line."""
    return [
        *(sys.executable, "-m", "granian", "--interface", "rsgi", "--host", host, "--port", port),
        *("--workers", workers, "--http", "1", "--no-ws", "--respawn-failed-workers"),
        *("--backlog", str(CONNECTIONS), "--backpressure", str(CONNECTIONS)),
        *("--http1-header-read-timeout", str(HEADER_MILLISECONDS), "--workers-kill-timeout", str(KILL_SECONDS)),
        "config.server:application",
    ]


def main(arguments: Sequence[str] = ()) -> int:
    """Serves until SIGTERM or SIGINT; granian's exit code. Further arguments are granian's."""
    with tempfile.TemporaryDirectory(prefix="offboard-web-") as folder:
        mark, logs = Path(folder) / "leaving", Path(folder) / "logs.json"
        logs.write_text(json.dumps(LOGS))
        as_json = ["--log-config", str(logs)] if os.environ.get("LOG_FORMAT") == "json" else []
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        granian = subprocess.Popen(  # noqa: S603  # our own command line
            [
                *command(
                    host=os.environ.get("HOST") or "0.0.0.0",  # noqa: S104  # behind a proxy, in a container of its own
                    port=os.environ.get("PORT") or "8000",
                    workers=os.environ.get("WEB_WORKERS") or "2",
                ),
                *as_json,
                *arguments,
            ],
            env={**os.environ, MARK: str(mark)},
        )
        while granian.poll() is None and not asked.wait(0.2):
            pass
        if granian.poll() is None:
            mark.touch()
            # A second signal is somebody in a hurry.
            asked.clear()
            asked.wait(NOTICE_SECONDS)
            granian.terminate()
        return granian.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
