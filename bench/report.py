"""The report of a benchmark: a table for people, JSON to keep."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import LiteralString

from bench.measuring import Goal, Result
from bench.stage import EMPTY, Stage

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("django", "psycopg", "granian", "celery")
#: What decides how fast and how safe the database writes.
DATABASE_SETTINGS: tuple[LiteralString, ...] = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
)


def machine(stage: Stage) -> dict[str, object]:
    """Where it was measured: cores, memory, versions, the database's settings. Nothing that names the machine."""
    with stage.connect(EMPTY) as connection:
        database = {name: str(_setting(connection.execute("SHOW " + name).fetchone())) for name in DATABASE_SETTINGS}
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "memory in GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "postgresql": database,
    }


def show_machine(found: dict[str, object]) -> None:
    """The head of the table."""
    for name, value in found.items():
        shown = ", ".join(f"{key} {of}" for key, of in value.items()) if isinstance(value, dict) else value
        _write(f"{name:14} {shown}")


def show(name: str, result: Result) -> None:
    """A benchmark's lines: medians, the range they come from, goals."""
    _write("")
    _write(f"{name:62} {'median':>12} {'low':>12} {'high':>12}  unit")
    for row in result.rows:
        samples = row.samples
        numbers = " ".join(f"{_number(value):>12}" for value in (samples.median, samples.low, samples.high))
        _write(f"  {row.what:60} {numbers}  {row.unit} (of {len(samples.values)})")
    for fact, value in result.facts.items():
        _write(f"  {fact}: {value}")
    for goal in result.goals:
        _write(f"  {'met   ' if goal.met else 'MISSED'} {goal.what}: {_number(goal.value)}, {_limit(goal)}")


def keep(name: str, result: Result, *, scale: str, found: dict[str, object]) -> None:
    """Write `results/<name>.json`, in place of the last run's."""
    kept = {
        "benchmark": name,
        "scale": scale,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": found,
        "rows": [
            {
                "what": row.what.strip(),
                "unit": row.unit,
                "median": row.samples.median,
                "values": list(row.samples.values),
            }
            for row in result.rows
        ],
        "facts": result.facts,
        "goals": [
            {
                "what": goal.what,
                "value": goal.value,
                "at_least": goal.at_least,
                "at_most": goal.at_most,
                "met": goal.met,
            }
            for goal in result.goals
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")


def _setting(row: tuple[object, ...] | None) -> object:
    return row[0] if row else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _limit(goal: Goal) -> str:
    if goal.at_least is not None:
        return f"at least {_number(goal.at_least)}"
    return f"at most {_number(goal.at_most or 0)}"


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
