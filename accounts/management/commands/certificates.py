"""`manage.py certificates`: the proof of every purge."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.erasure import certificates
from accounts.models import Certificate


class Command(BaseCommand):
    help = "Show the certificates of erasure, a JSON record a line; check them, or write them to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        action = parser.add_mutually_exclusive_group()
        action.add_argument(
            "--verify", action="store_true", help="exit 1 and say which is altered or missing, if any is"
        )
        action.add_argument("--verify-file", metavar="FILE", help="check an exported file, also against this database")
        action.add_argument("--export", metavar="FILE", help="write them all to a file, to be kept elsewhere")
        action.add_argument("--show", metavar="NUMBER", type=int, help="print one certificate only")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verify"]:
            self._report(list(certificates.faults()), f"{Certificate.objects.count()} certificates, all sound.")
        elif options["verify_file"]:
            faults = list(certificates.faults_of_file(_existing(options["verify_file"])))
            self._report(faults, "The file is as it was written.")
        elif options["export"]:
            try:
                count = certificates.export(Path(options["export"]))
            except OSError as error:
                raise CommandError(f"{options['export']} was not written: {error.strerror}.") from None
            self.stdout.write(f"{count} certificates written to {options['export']}.")
        else:
            self._show(options["show"])

    def _report(self, faults: list[str], sound: str) -> None:
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            sys.exit(1)
        self.stdout.write(sound)

    def _show(self, number: int | None) -> None:
        chosen = Certificate.objects.order_by("number")
        if number is not None:
            chosen = chosen.filter(number=number)
            if not chosen.exists():
                raise CommandError(f"There is no certificate {number}.")
        for certificate in chosen.iterator():
            self.stdout.write(certificate.as_json())


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise CommandError(f"There is no file {name}.")
    return path
