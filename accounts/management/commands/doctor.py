"""`manage.py doctor`: print what is overdue or inconsistent."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from accounts import clock, invariants


class Command(BaseCommand):
    help = "Print what is overdue or inconsistent; exit 1 if anything is. The same list as /readyz/."

    def handle(self, *args: Any, **options: Any) -> None:
        violations = invariants.violations(clock.now())
        for violation in violations:
            self.stdout.write(str(violation))
        if violations:
            sys.exit(1)
        self.stdout.write("All is well.")
