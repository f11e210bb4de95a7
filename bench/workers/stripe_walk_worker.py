"""The worker process of `bench.stripe_walk`: `python -m bench.workers.stripe_walk_worker DATABASE INSTANT`.

Stripe is in the environment. It runs the sweep `stripe-reconcile` once, and says what it did: subscriptions walked,
seconds, statements, and memory in bytes after the first hundredth of them and at its highest. JSON.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psutil

#: Between two looks at the memory, in seconds.
SAMPLE_SECONDS = 0.02
#: Memory counts from here on: by then what is loaded once has been.
WARM_PAGES = 10
#: Statements that a page of the walk makes here at most; so that `WARM_PAGES` are surely over.
STATEMENTS_A_PAGE = 10


def main(database: str, at: datetime) -> None:
    """Walk over everything that Stripe holds."""
    import django

    django.setup()
    from django.db import connection

    from subscriptions.stripe.reconciliation import reconcile

    connection.settings_dict["NAME"] = database
    process = psutil.Process()
    statements = before = peak = 0
    over = threading.Event()

    def counted(execute: Callable[..., Any], *call: Any) -> Any:
        nonlocal statements, before
        # Each call to Stripe asks for its place in the queue first: those depend on the time that calls take.
        statements += "stripegate" not in str(call[0])
        if statements == WARM_PAGES * STATEMENTS_A_PAGE:
            before = process.memory_info().rss
        return execute(*call)

    def look() -> None:
        nonlocal peak
        while not over.wait(SAMPLE_SECONDS):
            peak = max(peak, process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    begun = time.perf_counter()
    with connection.execute_wrapper(counted):
        walked = reconcile(at)
    passed = time.perf_counter() - begun
    over.set()
    looking.join()
    said = {"walked": walked, "seconds": passed, "statements": statements, "before": before or peak, "peak": peak}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], datetime.fromisoformat(sys.argv[2]))
