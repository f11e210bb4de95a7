"""`manage.py sweep`: run the beat jobs now, or as of an instant."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock, foreign_input
from accounts.jobs import sweeps


def instant(text: str) -> datetime:
    """An ISO 8601 instant; without an offset it is UTC."""
    try:
        return foreign_input.instant_in(text)
    except ValidationError as error:
        raise CommandError(f"“{text}”: {' '.join(error.messages)}") from None


class Command(BaseCommand):
    help = "Carry out what is due: all sweeps, or those named. With --dry-run, print a line an account instead."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(s.name for s in sweeps.registered()))
        parser.add_argument("--at", metavar="ISO8601", help="act as of this instant instead of now")
        parser.add_argument("--dry-run", action="store_true", help="print what would happen, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        at = instant(options["at"]) if options["at"] else clock.now()
        dry_run: bool = options["dry_run"]
        if at > clock.now() and not dry_run and not settings.ALLOW_TIME_TRAVEL:
            raise CommandError(
                "--at lies in the future. Add --dry-run to see what would happen, or set ALLOW_TIME_TRAVEL=1."
            )
        for sweep in self._chosen(options["names"]):
            if dry_run:
                due = 0
                for line in sweep.preview(at):
                    self.stdout.write(f"{sweep.name}: {line}")
                    due += 1
                self.stdout.write(f"{sweep.name}: {due} due")
            else:
                self.stdout.write(f"{sweep.name}: {sweeps.run_and_note(sweep, at)} done")

    def _chosen(self, names: list[str]) -> list[sweeps.Sweep]:
        known = sweeps.registered()
        for name in names:
            if name not in {sweep.name for sweep in known}:
                raise CommandError(
                    f"There is no sweep “{name}”. Choose from: {', '.join(sweep.name for sweep in known)}."
                )
        return [sweep for sweep in known if not names or sweep.name in names]
