"""`manage.py restore FOLDER`: a backup into a new database, which stays closed until erasures are replayed."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.erasure import backup

#: Files named of those that are missing.
EXAMPLES = 5


class Command(BaseCommand):
    help = "Put a backup into this empty database. Nobody is let in before `erasures --replay` (docs/operating.md)."
    #: There is nothing yet to be checked.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", type=Path, help="what `backup` has written")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        try:
            restored = backup.restore(folder)
        except (backup.Unfit, OSError) as error:
            raise CommandError(f"Nothing was restored: {error}.") from None
        self.stdout.write(f"Restored as of {restored.backup.made_at:%Y-%m-%d %H:%M} UTC. The database is closed.")
        if restored.missing:
            examples = ", ".join(restored.missing[:EXAMPLES])
            self.stdout.write(
                f"{len(restored.missing)} of {restored.backup.files} stored files are missing: {examples}. "
                "Bring them back before you go on."
            )
        self.stdout.write(
            "Next: `manage.py migrate`, then `manage.py erasures --replay` with the newest log of erasures that there "
            f"is ({folder / backup.LOG} if none is newer). That opens it."
        )
