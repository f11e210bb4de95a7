"""`manage.py sweep`: run the beat jobs now, or as of an instant."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock, foreign_input
from accounts.core.errors import describe
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
        work = self._preview if dry_run else self._run
        failed = [sweep.name for sweep in self._chosen(options["names"]) if not work(sweep, at)]
        if at > clock.now() and not dry_run:
            self.stdout.write(
                "The clock goes on as before. Pages of accounts to which something has happened ahead of it are shown "
                "as of then, and say so; to see any page, or an answer of the API, as of that instant, add "
                f"?at={at:%Y-%m-%dT%H:%M:%SZ} to its address. `manage.py demo --reset` goes back."
            )
        if failed:
            raise CommandError(f"Failed: {', '.join(failed)}.")

    def _run(self, sweep: sweeps.Sweep, at: datetime) -> bool:
        """Run one sweep and say how it went, in its place; the others go on. Returns whether it went well."""
        try:
            done = sweeps.run_and_note(sweep, at)
        except Exception as error:
            # Noted on the sweep, as when a worker runs it; here it is shown, too.
            self.stdout.write(f"{sweep.name}: failed: {describe(error)}")
            return False
        self.stdout.write(f"{sweep.name}: " + ("another run is at work" if done is None else f"{done} done"))
        return True

    def _preview(self, sweep: sweeps.Sweep, at: datetime) -> bool:
        """A line for each that is due; an error in its place, and what could be said before it."""
        due = 0
        try:
            for line in sweep.preview(at):
                self.stdout.write(f"{sweep.name}: {line}")
                due += 1
        except Exception as error:
            # A marketplace that can't be reached is no reason to say nothing of the rest.
            self.stdout.write(f"{sweep.name}: can't be told: {describe(error)}")
            return False
        self.stdout.write(f"{sweep.name}: {due} due")
        return True

    def _chosen(self, names: list[str]) -> list[sweeps.Sweep]:
        known = sweeps.registered()
        for name in names:
            if name not in {sweep.name for sweep in known}:
                raise CommandError(
                    f"There is no sweep “{name}”. Choose from: {', '.join(sweep.name for sweep in known)}."
                )
        return [sweep for sweep in known if not names or sweep.name in names]
