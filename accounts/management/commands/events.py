"""`manage.py events`: endpoints and how they are; and messages sent to one again."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock, foreign_input
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.events import replaying
from accounts.events.endpoint import Endpoint
from accounts.events.message import KEPT_FOR


class Command(BaseCommand):
    help = "List the endpoints that hear what happens; with --replay, send one of them a stretch of time again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--replay", metavar="ENDPOINT", help="the endpoint's name or id")
        parser.add_argument("--since", metavar="ISO8601", help="published from then on; 30 days ago, if not said")
        parser.add_argument("--until", metavar="ISO8601", help="published before then; until now, if not said")
        parser.add_argument("--all", action="store_true", help="what it has got already, too")
        parser.add_argument("--dry-run", action="store_true", help="only say how many messages that would be")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["replay"]:
            self._replay(options)
        else:
            self._list()

    def _replay(self, options: dict[str, Any]) -> None:
        at = clock.now()
        endpoint = self._endpoint(options["replay"])
        try:
            since = foreign_input.instant_in(options["since"]) if options["since"] else at - KEPT_FOR
            until = foreign_input.instant_in(options["until"]) if options["until"] else at
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        undelivered = not options["all"]
        if options["dry_run"]:
            count = replaying.messages(endpoint, since=since, until=until, undelivered=undelivered).count()
            self.stdout.write(f"{count} messages; what waits anyway is not sent twice.")
            return
        try:
            count = replaying.replay_range(
                endpoint, since=since, until=until, undelivered=undelivered, by=Actor.system(), at=at
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write(f"{count} messages are sent again to {endpoint}.")

    def _endpoint(self, wanted: str) -> Endpoint:
        standing = Endpoint.objects.standing()
        found = [one for one in standing if wanted in (one.name, str(one.pk))]
        if len(found) != 1:
            raise CommandError("There is no such endpoint." if not found else "Several have this name: give the id.")
        return found[0]

    def _list(self) -> None:
        for endpoint in Endpoint.objects.standing().order_by("made_at"):
            state = f"off since {endpoint.off_at:%Y-%m-%d %H:%M}Z" if endpoint.off_at else "on"
            if endpoint.failing_since:
                state += f", failing since {endpoint.failing_since:%Y-%m-%d %H:%M}Z"
            waiting = endpoint.dispatches.pending().count()
            self.stdout.write(f"{endpoint.pk}  {endpoint.name}  {state}, {waiting} waiting")
