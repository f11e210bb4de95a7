"""`manage.py token`: tokens for the API, made, listed and revoked."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.api import tokens
from accounts.api.tokens import ApiToken, Scope
from accounts.core import clock, foreign_input
from accounts.core.refusal import Refused
from accounts.customers.history import Actor


class Command(BaseCommand):
    help = "Make an API token and print it: it is shown this once. Without a name, list the tokens that there are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="what uses it, such as billing")
        parser.add_argument(
            "--scope", action="append", default=[], choices=Scope.values, help="what it may do; several are given each"
        )
        parser.add_argument("--expires", metavar="ISO8601", help="until when it works; for ever, if not said")
        parser.add_argument("--revoke", action="store_true", help="revoke the token of this name instead")

    def handle(self, *args: Any, **options: Any) -> None:
        name: str | None = options["name"]
        if name is None:
            self._list()
        elif options["revoke"]:
            self._revoke(name)
        else:
            self._make(name, options["scope"], options["expires"])

    def _make(self, name: str, scopes: list[str], expires: str | None) -> None:
        try:
            expires_at = foreign_input.instant_in(expires) if expires else None
            _made, token = tokens.make(name, scopes, by=Actor.system(), at=clock.now(), expires_at=expires_at)
        except ValidationError as error:
            raise CommandError(f"--expires: {' '.join(error.messages)}") from None
        except Refused as refused:
            raise CommandError(str(refused)) from None
        # Alone on its line, for `TOKEN=$(manage.py token …)`.
        self.stdout.write(token)
        self.stderr.write("Keep it now: it is not shown again.")

    def _revoke(self, name: str) -> None:
        found = ApiToken.objects.standing().filter(name=name).first()
        if found is None:
            raise CommandError("There is no such token, or it was revoked before.")
        tokens.revoke(found, by=Actor.system(), at=clock.now())
        self.stdout.write(f"Revoked: {found.lookup}…")

    def _list(self) -> None:
        for token in ApiToken.objects.standing().order_by("name"):
            until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "for ever"
            used = f"last used {token.last_used_at:%Y-%m-%d}" if token.last_used_at else "never used"
            self.stdout.write(f"{token.name}  off_{token.lookup}_…  {' '.join(token.scopes)}  {until}, {used}")
