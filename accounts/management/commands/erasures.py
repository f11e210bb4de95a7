"""`manage.py erasures`: the log of erasures, kept beside the backups, and erasing again after a restore."""

import sys
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock
from accounts.erasure import hash_chain, replay
from accounts.jobs import opening


class Command(BaseCommand):
    help = "Write the log of erasures beside the backups; after a restore, erase again what is listed in it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        action = parser.add_mutually_exclusive_group(required=True)
        action.add_argument("--export", metavar="FILE", help="write the log")
        action.add_argument("--replay", metavar="FILE", help="erase every account of the log that is here again")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["export"]:
            self._export(Path(options["export"]))
        else:
            self._replay(Path(options["replay"]), clock.now())

    def _export(self, path: Path) -> None:
        try:
            count = replay.export(path)
        except OSError as error:
            raise CommandError(f"{path} was not written: {error.strerror}. What was there before still is.") from None
        self.stdout.write(f"{count} erasures written to {path}.")

    def _replay(self, path: Path, at: datetime) -> None:
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        try:
            outcomes = replay.replay(path, at=at)
        except hash_chain.Altered as altered:
            raise CommandError(f"Nothing was erased: {altered}.") from None
        except replay.TooOld as too_old:
            raise CommandError(f"Nothing was erased: {too_old}.") from None
        except replay.OtherSystem as system:
            raise CommandError(f"Nothing was erased: the file is of another installation ({system}).") from None
        again = waiting = absent = failed = 0
        for outcome in outcomes:
            if outcome.error:
                failed += 1
                self.stdout.write(f"{outcome.account_id} failed, will be tried again: {outcome.error}")
            elif outcome.waits:
                waiting += 1
                self.stdout.write(f"{outcome.account_id} erased again here, its certificate waits: {outcome.waits}")
            elif outcome.certificate:
                again += 1
                self.stdout.write(f"{outcome.account_id} erased again, certificate {outcome.certificate}")
            else:
                absent += 1
        others = f"{waiting} erased again and waiting for others, " if waiting else ""
        self.stdout.write(f"{again} erased again, {others}{absent} not in this database, {failed} failed.")
        if failed:
            sys.exit(1)
        if opening.open_for_business(at):
            self.stdout.write("The restored database is open now.")
