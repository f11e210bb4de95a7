"""`manage.py stripe_import`: bring in what customers hold at Stripe already."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.core import clock
from subscriptions.stripe.client import StripeError, stripe_api
from subscriptions.stripe.importing import ACCOUNT_KEY, Why, import_all


class Command(BaseCommand):
    help = (
        "Find the account of every subscription at Stripe, and take it over (docs/stripe.md). Says what it would do; "
        "does it with --apply. Changes nothing at Stripe, mails nobody; may be run again at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="link what is certain; else nothing is changed")
        parser.add_argument(
            "--metadata-key",
            metavar="KEY",
            default=ACCOUNT_KEY,
            help="under which customers name their account: its id, or its external id",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        counted: Counter[Why] = Counter()
        try:
            for line in import_all(
                stripe_api(), at=clock.now(), apply=options["apply"], account_key=options["metadata_key"]
            ):
                counted[line.why] += 1
                notes = f" ({', '.join(line.notes)})" if line.notes else ""
                self.stdout.write(f"{line.subscription} {line.customer} {line.account_id or '-'}: {line.why}{notes}")
        except StripeError as error:
            raise CommandError(f"{error} What was reported is done; run it again.") from None
        self.stdout.write(", ".join(f"{count} {why}" for why, count in sorted(counted.items())) or "nothing there")
        if not options["apply"]:
            self.stdout.write("Nothing was changed: --apply does it.")
