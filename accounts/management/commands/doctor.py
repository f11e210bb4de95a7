"""`manage.py doctor`: print what is overdue or inconsistent."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from accounts.core import clock
from accounts.jobs import invariants, opening


class Command(BaseCommand):
    help = "Print what is overdue or inconsistent; exit 1 if anything is. The same list as /readyz/."

    def handle(self, *args: Any, **options: Any) -> None:
        if not opening.known.is_open():
            # Nothing runs, so nothing else that it could say is of use.
            self.stdout.write(f"restored: {opening.Closed()}")
            sys.exit(1)
        at = clock.now()
        for warning in invariants.warnings(at):
            self.stdout.write(f"warning: {warning}")
        violations = invariants.violations(at)
        for violation in violations:
            self.stdout.write(str(violation))
        if violations:
            sys.exit(1)
        self.stdout.write("All is well.")
