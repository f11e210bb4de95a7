"""`manage.py import_accounts`: bring in the customers of the system that Offboard takes over from."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from accounts.core import clock
from subscriptions.imports.files import Line, lines
from subscriptions.imports.importer import Importer, Outcome, Reported
from subscriptions.imports.refusals import FileRefused
from subscriptions.imports.shapes import COLUMNS
from subscriptions.imports.summary import MOST_SHOWN, Summary

#: Rows between two lines that say how far it is.
PROGRESS = 10_000


class Command(BaseCommand):
    help = (
        "Import existing customers, a row each, from JSON lines or CSV (docs/import.md). Adds what is missing, changes "
        "nothing, mails nobody; may be run again at any time. Exit 1 if any row was refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="its name ends in .jsonl or .csv")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")
        parser.add_argument("--report", metavar="FILE", type=Path, help="a JSON line for each row: what became of it")
        parser.add_argument("--limit", metavar="N", type=int, help="stop after so many rows")

    def handle(self, *args: Any, **options: Any) -> None:
        at = clock.now()
        limit: int | None = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError("--limit is a number of rows: 1 or more.")
        summary = Summary(at)
        with ExitStack() as opened:
            report = self._report(options["file"], options["report"], opened)
            importer = Importer(at=at, dry_run=options["dry_run"])
            rows = islice(_with_mistakes_told(lines(options["file"], COLUMNS)), limit)
            try:
                for reported in importer.run(rows):
                    summary.add(reported)
                    self._show(reported, summary, report)
            except KeyboardInterrupt:
                raise CommandError(_cut_off(summary), returncode=130) from None
            except (OperationalError, InterfaceError):
                raise CommandError(f"The database went away. {_cut_off(summary)}") from None
        for line in summary.lines():
            self.stdout.write(line)
        self.stdout.write(f"{summary.rows} rows: {summary.totals()}.")
        if options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")
        if summary.outcomes[Outcome.REFUSED]:
            sys.exit(1)

    def _report(self, source: Path, target: Path | None, opened: ExitStack) -> IO[str] | None:
        if target is None:
            return None
        if target.exists() and source.exists() and target.samefile(source):
            raise CommandError("The report would overwrite the file itself: name another one.")
        try:
            # A line at a time: what it says is true also after a kill.
            return opened.enter_context(target.open("w", encoding="utf-8", buffering=1))
        except OSError as error:
            raise CommandError(f"The report can't be written to {target}: {error.strerror}.") from None

    def _show(self, reported: Reported, summary: Summary, report: IO[str] | None) -> None:
        if report:
            told = {name: getattr(reported, name) for name in ("number", "external_id", "outcome", "code", "text")}
            report.write(json.dumps(told, ensure_ascii=False) + "\n")
        refusals = summary.outcomes[Outcome.REFUSED]
        if reported.outcome == Outcome.REFUSED and refusals <= MOST_SHOWN:
            self.stdout.write(f"line {reported.number}: refused, {reported.code}: {reported.text}")
            if refusals == MOST_SHOWN:
                self.stdout.write("More are refused: --report names all of them.")
        if summary.rows % PROGRESS == 0:
            self.stderr.write(f"{summary.rows} rows: {summary.totals()} …")


def _cut_off(summary: Summary) -> str:
    return f"Cut off after {summary.rows} rows: {summary.totals()}. Run it again: it goes on with what is missing."


def _with_mistakes_told(rows: Iterable[Line]) -> Iterator[Line]:
    """The rows; what is wrong with the whole file is an error of the command."""
    try:
        yield from rows
    except FileRefused as refusal:
        raise CommandError(str(refusal)) from None
    except OSError as error:
        raise CommandError(f"The file can't be read: {error.strerror}.") from None
