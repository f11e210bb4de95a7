"""`manage.py migrate`: Django's, with limits, so that an upgrade never makes everybody wait.

A migration that waits for a table's lock makes all who come after it wait, too: pages and webhooks stand still behind
one long transaction of somebody else's. So it gives up soon, and is run again. Behind a PgBouncer it goes past it.
"""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable, QueryCanceled

from accounts.database import direct

#: Seconds for which a statement may wait for a lock, and with it everybody behind: pages answer within ten.
LOCK_SECONDS = 5
#: Seconds for a statement: a table's worth of work at the most, far below a day of which nobody notices that it hangs.
STATEMENT_SECONDS = 3600


class Command(migrate.Command):
    help = f"{migrate.Command.help} Gives up rather than keep everybody waiting: run it again then."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-timeout",
            type=int,
            default=LOCK_SECONDS,
            metavar="SECONDS",
            help=f"how long a statement may wait for a lock; 0: for ever ({LOCK_SECONDS})",
        )
        parser.add_argument(
            "--statement-timeout",
            type=int,
            default=STATEMENT_SECONDS,
            metavar="SECONDS",
            help=f"how long a statement may run; 0: for ever ({STATEMENT_SECONDS})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with direct.connected():
            limits = {name: options[name] * 1000 for name in ("lock_timeout", "statement_timeout")}
            try:
                with connection.cursor() as cursor:
                    for name, milliseconds in limits.items():
                        cursor.execute("SELECT set_config(%s, %s, false)", [name, str(milliseconds)])
                super().handle(*args, **options)
            except OperationalError as error:
                if isinstance(error.__cause__, LockNotAvailable):
                    raise CommandError(
                        f"A table was in use for longer than {options['lock_timeout']} s, so the migration gave way. "
                        "What it had begun is undone, earlier ones stay. Run it again."
                    ) from error
                if isinstance(error.__cause__, QueryCanceled):
                    raise CommandError(
                        f"A statement took longer than {options['statement_timeout']} s. What its migration had begun "
                        "is undone, earlier ones stay. Run it again with a larger --statement-timeout."
                    ) from error
                raise
            finally:
                # It may go back to a pool.
                if connection.connection is not None and not connection.in_atomic_block:
                    with connection.cursor() as cursor:
                        cursor.execute("RESET lock_timeout; RESET statement_timeout")
