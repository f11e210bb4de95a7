"""`manage.py account`: an account with its owner. Prints the account's UUID, and nothing else, to standard output."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.branding import mail_settings
from accounts.core import clock, foreign_input
from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers.account import Account
from accounts.customers.history import Actor
from accounts.desk.account_opening import open_for
from accounts.signing_in import way_in


class Command(BaseCommand):
    help = (
        "Open an account and print its UUID. An owner who is new is created, and mailed a link to choose a password. "
        "The same external id for the same owner prints the same UUID again, and changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--owner", required=True, metavar="EMAIL")
        parser.add_argument("--external-id", metavar="ID", help="what your own systems call the account")

    def handle(self, *args: Any, **options: Any) -> None:
        limit: int = Account._meta.get_field("name").max_length or 0
        try:
            name = foreign_input.name(options["name"], limit=limit)
            email = foreign_input.address(options["owner"])
            given = options["external_id"]
            external_id = foreign_input.external_id(given) if given else None
            if not name:
                raise ValidationError("An account has a name.")
            account, is_new = open_for(name, email, external_id=external_id, by=Actor.system(), at=clock.now())
        except (ValidationError, Refused) as error:
            words = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise CommandError(f"{words} Nothing was changed.") from None
        except BeingErased:
            raise CommandError("The account with this external id is being erased. Nothing was changed.") from None
        self.stdout.write(str(account.pk))
        owner = account.owner()
        if owner and not way_in.has_way_in(owner):
            told = "The owner is mailed a link to choose a password." if is_new else "The owner has no password yet."
            if not mail_settings.reaches_people():
                told = f"No mail server is set: hand this link to the owner. {way_in.link(owner)}"
            self.stderr.write(told)
        elif is_new:
            self.stderr.write(f"The owner signs in at {settings.SITE_URL}/ as ever, and is told by mail.")
        if not is_new:
            self.stderr.write(f"It was there already, as {account.name}. Nothing was changed.")
