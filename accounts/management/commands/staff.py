"""`manage.py staff`: who works at the support desk. For whoever runs the server."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.branding import mail_settings
from accounts.core import clock, foreign_input
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.desk.staffing import StaffRole, reset_second_factor, set_role
from accounts.signing_in import way_in


class Command(BaseCommand):
    help = (
        "Make somebody staff of the support desk, change their role, end it, or reset a second factor that was lost. "
        "Who is new is created, and mailed a link to choose a password; it works once, for three days."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--role", choices=StaffRole.values, help="`none`: staff no more, at once")
        what.add_argument(
            "--reset-second-factor",
            action="store_true",
            help="for who has lost it: they set up a new one at the next sign-in to the desk",
        )
        parser.add_argument(
            "--link",
            action="store_true",
            help="print the link here as well, for who has no password yet; as is done where no mail server is set",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            email = foreign_input.address(options["email"])
        except ValidationError:
            raise CommandError(f"{options['email']!r} is no mail address. Nothing was changed.") from None
        if options["reset_second_factor"]:
            self._reset_second_factor(email)
            return
        try:
            done = set_role(email, StaffRole(options["role"]), by=Actor.system(), at=clock.now())
        except Refused as refusal:
            raise CommandError(f"{refusal} Nothing was changed.") from None
        role = StaffRole(options["role"])
        if role == StaffRole.NONE:
            said = "is staff no more, and signed out everywhere" if done.changed else "was no staff already"
            self.stdout.write(f"{email} {said}.")
            return
        words = role.label.lower()
        self.stdout.write(f"{email} is {words} now." if done.changed else f"{email} was {words} already.")
        if way_in.has_way_in(done.user):
            self.stdout.write(f"Signs in at {settings.SITE_URL}/admin/ as ever.")
        elif options["link"] or not mail_settings.reaches_people():
            self.stdout.write(f"First sign-in, once and within three days: {way_in.link(done.user)}")
        elif done.changed:
            self.stdout.write("A mail with the link for the first sign-in is on its way.")
        else:
            self.stdout.write("Has not signed in yet. Another link: the same command with --link.")

    def _reset_second_factor(self, email: str) -> None:
        try:
            reset = reset_second_factor(email, by=Actor.system(), at=clock.now())
        except Refused as refusal:
            raise CommandError(f"{refusal} Nothing was changed.") from None
        self.stdout.write(
            f"{email} has no second factor any more, and is signed out everywhere. "
            f"The next sign-in at {settings.SITE_URL}/admin/ sets up a new one."
            if reset
            else f"{email} had no second factor."
        )
