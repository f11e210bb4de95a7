"""Both sides of AWS Marketplace, and time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.test import Client

from accounts.customers.entitlements import entitlements_of
from accounts.inbox import inbox
from accounts.inbox.sources import SOURCES
from accounts.jobs import sweeps
from accounts.jobs.due_work import attempt
from accounts.models import Account, Delivery, Notice, User
from marketplace.aws import checks, registration
from marketplace.models import AwsAgreement as Row
from subscriptions.models import Subscription
from tests.fakes.aws import Agreement, Buyer, FakeAWS, Happened, Message

REGISTER = "/marketplace/aws/register/"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SWEEPS = ("deliveries", "aws-check", "settle", "aws-reconcile")

Style = Callable[[Happened], Iterable[Message]]
#: What of a happening is delivered.
STYLES: dict[str, Style] = {
    "SNS": lambda happened: happened.sns,
    "EventBridge": lambda happened: happened.events,
    "both": lambda happened: happened.messages,
}


@dataclass
class AwsWorld:
    """What happens at AWS is delivered, and the sweeps run as of AWS's own `now`."""

    aws: FakeAWS
    style: str = "both"

    def hears(self, happened: Happened) -> Agreement:
        """Deliver the messages of a happening, of this world's style, and process them."""
        self.receives(*STYLES[self.style](happened))
        return happened.agreement

    def receives(self, *messages: Message) -> None:
        for message in messages:
            self.accept(message)
        self.run("deliveries")

    def accept(self, message: Message) -> None:
        inbox.accept(
            SOURCES.named(message.source),
            delivery_id=message.delivery_id,
            event=message.event,
            content_type=message.content_type,
            body=message.body,
            at=self.aws.now,
        )

    def run(self, *names: str) -> None:
        for name in names:
            sweeps.named(name).run(self.aws.now)

    def passes(self, time: timedelta) -> None:
        self.aws.now += time

    def settles(self) -> None:
        """Enough time for every second look."""
        for _turn in range(6):
            self.passes(HOUR)
            self.run(*SWEEPS)

    def buyer(self, *, old: bool = True) -> Buyer:
        """Old integrations know a customer identifier; new ones get no SNS messages either."""
        number = self.aws.number()
        return self.aws.buyer(customer_identifier=f"cust-{number}" if old else None)

    def registers(self, agreement: Agreement, person: User, **choice: Any) -> Account:
        """The buyer comes with a token, and links the purchase; AWS is asked as the page does."""
        found = registration.resolve(
            self.aws.registration_token(agreement), on_trial=agreement.trial_ends_at is not None, at=self.aws.now
        )
        account, row = registration.finish(found, by=person, at=self.aws.now, **choice)
        if not row.runs:
            attempt(row, checks.check, self.aws.now)
        return account

    def customer(self, person: User, **options: Any) -> tuple[Agreement, Account]:
        """Somebody has bought and registered, and AWS has confirmed it, a day ago."""
        agreement = self.hears(self.aws.buy(options.pop("buyer", None) or self.buyer(), **options))
        account = self.registers(agreement, person)
        self.passes(DAY)
        self.run("aws-check")
        self.passes(DAY)
        self.run("aws-check")
        return agreement, account

    def row(self, agreement: Agreement) -> Row:
        return Row.objects.get(agreement_id=agreement.id)

    def live(self, account: Account) -> Subscription | None:
        return Subscription.objects.of(account).live(self.aws.now).first()

    def plan(self, account: Account) -> str:
        return entitlements_of(account, self.aws.now).plan

    def mails(self, account: Account) -> list[str]:
        """The kinds of mail that were queued for the account, in order."""
        return list(Notice.objects.filter(account=account).order_by("queued_at", "pk").values_list("kind", flat=True))

    def kinds(self, account: Account) -> list[str]:
        """The account's history."""
        return list(account.events.order_by("id").values_list("kind", flat=True))

    def outcomes(self) -> list[str]:
        return list(Delivery.objects.order_by("id").values_list("outcome", flat=True))


def lands(form: dict[str, str], client: Client | None = None) -> Any:
    """What AWS's page does: a POST from another site, without our cookies and without our CSRF token."""
    return (client or Client(enforce_csrf_checks=True)).post(REGISTER, form)
