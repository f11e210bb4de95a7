"""A worker process of `bench.elsewhere`: `python -m bench.workers.elsewhere_worker DATABASE INSTANT SECONDS`.

The stores are in the environment (`REMOTE_STORES`). It says when it is ready, begins at a line on standard input, runs
the sweep `elsewhere` for so many seconds, and says what it did: rows done, and memory in bytes before and at its
highest. JSON.
"""

import json
import sys
import threading
import time
from datetime import datetime, timedelta

import psutil

#: Between two looks at the memory, in seconds.
SAMPLE_SECONDS = 0.1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(database: str, at: datetime, seconds: float) -> None:
    """Ask for so long."""
    import django

    django.setup()
    from django.db import connection

    from accounts.elsewhere import runner

    connection.settings_dict["NAME"] = database
    # Threads, connections and discovery are there before it counts; the product's own run is 30 seconds.
    runner.RUN = timedelta(seconds=0.5)
    runner.ask_due(at)
    process = psutil.Process()
    say("ready")
    sys.stdin.readline()
    before = peak = process.memory_info().rss
    over = threading.Event()

    def look() -> None:
        nonlocal peak
        while not over.wait(SAMPLE_SECONDS):
            peak = max(peak, process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    done, stop = 0, time.monotonic() + seconds
    while (left := stop - time.monotonic()) > 0:
        runner.RUN = timedelta(seconds=left)
        done += runner.ask_due(at)
    over.set()
    looking.join()
    say(json.dumps({"done": done, "before": before, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], datetime.fromisoformat(sys.argv[2]), float(sys.argv[3]))
