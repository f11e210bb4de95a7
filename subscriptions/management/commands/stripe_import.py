"""`manage.py stripe_import`: bring in what customers hold at Stripe already."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock
from subscriptions.stripe.client import StripeError, stripe_api
from subscriptions.stripe.importing.report import ACCOUNT_KEY, Options, Why
from subscriptions.stripe.importing.run import import_all


class Command(BaseCommand):
    help = (
        "Find the account of every subscription at Stripe, and take it over (docs/stripe.md). Says what it would do; "
        "does it with --apply. Changes nothing at Stripe, mails nobody; may be run again at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        doing = parser.add_mutually_exclusive_group()
        doing.add_argument("--apply", action="store_true", help="link what is certain; else nothing is changed")
        doing.add_argument("--dry-run", action="store_true", help="say what would be done: so it is without --apply")
        parser.add_argument(
            "--metadata-key",
            metavar="KEY",
            default=ACCOUNT_KEY,
            help="under which customers name their account: its id, or its external id",
        )
        parser.add_argument(
            "--replace",
            action="store_true",
            help="where an account has a direct subscription that no provider holds, let Stripe’s take its place",
        )
        parser.add_argument("--ended", action="store_true", help="write down what has ended there, too, for history")

    def handle(self, *args: Any, **options: Any) -> None:
        counted: Counter[Why] = Counter()
        told = Options(
            at=clock.now(),
            apply=options["apply"],
            account_key=options["metadata_key"],
            replace=options["replace"],
            ended=options["ended"],
        )
        try:
            for line in import_all(stripe_api(), told):
                counted[line.why] += 1
                notes = f" ({', '.join(line.notes)})" if line.notes else ""
                self.stdout.write(f"{line.subscription} {line.customer} {line.account_id or '-'}: {line.why}{notes}")
        except StripeError as error:
            # All of it is read before any of it is taken over.
            raise CommandError(f"{str(error).removesuffix('.')}. Nothing was linked; run it again.") from None
        self.stdout.write(", ".join(f"{count} {why}" for why, count in sorted(counted.items())) or "nothing there")
        if not options["apply"]:
            self.stdout.write("Nothing was changed: --apply does it.")
