"""A worker process of `bench.wishes`: `python -m bench.workers.wishes_worker DATABASE INSTANT`; Stripe is in the
environment.

It says when it is ready, begins at a line on standard input, runs the sweep `wishes` until no wish is open, and says
what it did: wishes agreed, and memory in bytes before and at its highest. JSON.
"""

import json
import sys
import threading
import time
from datetime import datetime

import psutil

#: Between two looks at the memory, in seconds.
SAMPLE_SECONDS = 0.1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(database: str, at: datetime) -> None:
    """Ask for all that is wished in this database."""
    import django

    django.setup()
    from django.db import connection

    from subscriptions.billing.agreeing import agree_due
    from subscriptions.billing.wish import Wish

    connection.settings_dict["NAME"] = database
    # Threads and their connections are there before it counts.
    agree_due(at.replace(year=at.year - 1))
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
    agreed = 0
    while Wish.objects.open().exists():
        agreed += agree_due(at)
        time.sleep(0.05)
    over.set()
    looking.join()
    say(json.dumps({"agreed": agreed, "before": before, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], datetime.fromisoformat(sys.argv[2]))
