"""`manage.py backup FOLDER`: the database, the log of erasures and the list of stored files, in one folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock
from accounts.erasure import backup


class Command(BaseCommand):
    help = "Write database, log of erasures and list of stored files into a new folder (docs/operating.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new one, or an empty one")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        try:
            made = backup.make(folder, at=clock.now())
        except (backup.Unfit, OSError) as error:
            raise CommandError(f"No backup was made: {error}.") from None
        self.stdout.write(
            f"Backup in {folder}: the database, a log of {made.erasures} erasures, a list of {made.files} stored files "
            f"({made.bytes} bytes), which are to be copied beside it."
        )
