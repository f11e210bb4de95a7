"""The process that erases while `bench.purge` asks for pages: `python -m bench.workers.purge_worker DATABASE`.

It says when it is ready. Then, for each line with a number of seconds on standard input, it erases for about so long,
and says how far it came: rows erased and seconds in this turn, memory in bytes (before the first turn, and the
highest since, sampled 50 times a second), the longest statement so far in seconds. JSON, a line each.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

#: Between two looks at the memory, in seconds.
SAMPLE_SECONDS = 0.02
SHOWN_CHARACTERS = 160


@dataclass
class Watch:
    """What is noted about this process."""

    before: int
    peak: int
    longest: float = 0.0
    statement: str = ""
    statements: int = 0
    process: psutil.Process = field(default_factory=psutil.Process)

    def look(self) -> None:
        """Note the memory."""
        self.peak = max(self.peak, self.process.memory_info().rss)

    def keep_looking(self) -> None:
        while True:
            self.look()
            time.sleep(SAMPLE_SECONDS)

    def note(self, execute: Callable[..., Any], statement: str, *arguments: Any) -> Any:
        """Time a statement of Django's connection."""
        begun = time.perf_counter()
        try:
            return execute(statement, *arguments)
        finally:
            taken = time.perf_counter() - begun
            self.statements += 1
            if taken > self.longest:
                self.longest, self.statement = taken, statement[:SHOWN_CHARACTERS]


def main(database: str) -> None:
    """Erase what is due in this database, a turn a line."""
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = database
    connection.ensure_connection()
    now = psutil.Process().memory_info().rss
    watch = Watch(before=now, peak=now)
    threading.Thread(target=watch.keep_looking, daemon=True).start()
    _tell({"ready": True})
    with connection.execute_wrapper(watch.note):
        for line in sys.stdin:
            _tell(_turn(float(line), watch))


def _turn(seconds: float, watch: Watch) -> dict[str, Any]:
    from accounts.core import clock
    from accounts.erasure import runner
    from accounts.jobs.due_work import MORE, claim
    from accounts.models import Purge

    # The product's own turn is 20 seconds.
    runner.TURN = seconds
    begun, at = time.perf_counter(), clock.now()
    row = claim(Purge.objects.due, at)
    if row is None:
        raise SystemExit("no purge is due")
    erased = _erased(row)
    answer = runner.take_turn(row, at)
    taken = time.perf_counter() - begun
    watch.look()
    row = Purge.objects.get(pk=row.pk)
    if answer is MORE:
        # As its sweep does: in line again, for the next turn.
        Purge.objects.filter(pk=row.pk).update(next_attempt_at=at)
    elif row.attempts or not row.verified_at:
        raise SystemExit(f"the purge failed: {row.last_error}")
    return {
        "verified": answer is True,
        "seconds": taken,
        "erased": _erased(row) - erased,
        "chunk": row.chunk,
        "before": watch.before,
        "peak": watch.peak,
        "longest": watch.longest,
        "statement": watch.statement,
        "statements": watch.statements,
    }


def _erased(row: Any) -> int:
    return int(row.erased().get("blueprints.Blueprint", 0))


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
