"""nothing-due: what a sweep costs when nothing is due, at 1,000 and at 1,000,000 subscriptions.

Measured is one call of `settle_due`, `remind_due` and `send_due`, in milliseconds: the median of many calls, several
times over, the databases in turn. A second database of the small size shows what "the same" means on this machine.
Beside time stands what no noise touches: the pages of the database that its statements look at. The last
rows are taken just after a mass settling, before any vacuum.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.mail.sending import send_due
from bench import filling
from bench.filling import ENDS, QUIET
from bench.measuring import Goal, Result, Row, Samples, interleaved, median_seconds, require
from bench.stage import Stage, say
from subscriptions.ending.reminders import remind_due
from subscriptions.ending.settling import settle_due

#: The size that is compared with the scale's own.
FEW = 1_000
FEW_ENDING = 100
#: Twice the time is never noise between medians of medians; a real dependence on size would be a factor of hundreds.
AT_MOST = 1.5

SWEEPS: dict[str, Callable[[datetime], int]] = {"settle": settle_due, "remind": remind_due, "notices": send_due}


def run(stage: Stage) -> Result:
    """Compare the sweeps at both sizes."""
    scale = stage.scale
    few, control, many, settled = "few", "few_again", "many", "just_settled"
    source = filling.filled(stage, subscriptions=FEW, ending=FEW_ENDING)
    stage.copy(source, few)
    stage.copy(source, control)
    source = filling.filled(stage, subscriptions=scale.subscriptions, ending=scale.ending)
    stage.copy(source, many)
    stage.copy(source, settled)
    stage.use(settled)
    require(settle_due(ENDS) == scale.ending, "settling before the measurement settled something else")
    result = Result()
    for sweep, work in SWEEPS.items():
        say(f"nothing-due: {sweep} …")
        places = {few: QUIET, control: QUIET, many: QUIET, settled: ENDS if sweep == "settle" else QUIET}
        labels = {
            few: f"{sweep}, {FEW:,} subscriptions",
            control: f"{sweep}, {FEW:,} again",
            many: f"{sweep}, {scale.subscriptions:,}",
            settled: f"{sweep}, {scale.subscriptions:,}, {scale.ending:,} just settled",
        }
        found = interleaved(
            scale.rounds,
            {name: partial(_milliseconds, stage, name, work, at) for name, at in places.items()},
        )
        samples = {name: Samples(tuple(values)) for name, values in found.items()}
        for name, at in places.items():
            result.rows.append(Row(labels[name], "ms", samples[name]))
            result.facts[f"pages looked at: {labels[name]}"] = _pages(stage, name, work, at)
        result.goals.append(
            Goal(f"{labels[many]} / {FEW:,}", samples[many].median / samples[few].median, at_most=AT_MOST)
        )
    for name in (few, control, many, settled):
        stage.drop(name)
    return result


def _milliseconds(stage: Stage, database: str, work: Callable[[datetime], int], at: datetime) -> float:
    stage.use(database)
    require(work(at) == 0, "something was due")
    return median_seconds(partial(work, at), calls=stage.scale.calls) * 1000


def _pages(stage: Stage, database: str, work: Callable[[datetime], int], at: datetime) -> int:
    """How many pages the statements of a sweep look at, cached or not."""
    stage.use(database)
    with CaptureQueriesContext(connection) as captured:
        work(at)
    asked = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    with transaction.atomic(), connection.cursor() as cursor:
        return sum(_pages_of(cursor, statement) for statement in asked)


def _pages_of(cursor: Any, statement: str) -> int:
    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    answer = cursor.fetchone()[0]
    plan: dict[str, Any] = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
