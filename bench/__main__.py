"""`python -m bench [NAME …] [--scale small|full]`: measures, shows a table, keeps the numbers.

Exit code 0 if every goal was met and every answer was right; 1 otherwise. At the small scale, a smoke test of a
minute, nothing is kept and a missed goal is only shown.
"""

import argparse
import importlib
import signal
import sys

from bench import report
from bench.measuring import Result, WrongAnswerError
from bench.stage import FULL, SCALES, Stage, opened, say
from config.stack.servers import ServerStartError

#: Each is a module of this package with a function `run(stage) -> Result`. They are imported once Django is set up.
BENCHMARKS = (
    "settle",
    "nothing_due",
    "pages",
    "pool",
    "entitlements",
    "intake",
    "stripe_intake",
    "deliveries",
    "purge",
    "desk",
    "imports",
    "wishes",
    "stripe_walk",
    "elsewhere",
    "events",
)


def main() -> int:
    """Run the benchmarks that were asked for, or all. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; by default all")
    parser.add_argument("--scale", choices=SCALES, default=FULL.name)
    asked = parser.parse_args()
    names = [name.replace("-", "_") for name in asked.names] or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    scale = SCALES[asked.scale]
    # Ended by SIGTERM as by Ctrl-C: servers and gigabytes are cleared away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with opened(scale) as stage:
            found = report.machine(stage)
            report.show_machine(found)
            results = {}
            for name in names:
                results[name] = _run(name, stage)
                report.show(name, results[name])
                if scale is FULL:
                    report.keep(name, results[name], scale=scale.name, found=found)
    except (WrongAnswerError, ServerStartError) as failure:
        say(str(failure))
        return 1
    met = all(goal.met for result in results.values() for goal in result.goals)
    return 0 if met or scale is not FULL else 1


def _run(name: str, stage: Stage) -> Result:
    result: Result = importlib.import_module(f"bench.{name}").run(stage)
    return result


if __name__ == "__main__":
    sys.exit(main())
