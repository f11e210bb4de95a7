"""`manage.py demo`: demo data that shows every state, dated around now. Safe to repeat."""

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.core import clock, roles
from accounts.customers import features, product
from accounts.customers.history import Actor
from accounts.erasure import runner
from accounts.models import Account, Membership, Purge, Role, User
from accounts.signing_in.addresses import note_proven
from accounts.support import deletion
from accounts.support.requests import RequestKind, SupportRequest, ask
from marketplace import demo_reset
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.dimension import Dimension, learn
from marketplace.aws.messages import hear
from marketplace.aws.vocabulary import AgreementTerms, Names, Said, Word
from marketplace.github.customer import GitHubCustomer
from marketplace.github.listing import ListingPlan
from marketplace.github.payloads import Buyer, ListedPlan, ListedPurchase
from marketplace.github.purchases import hold, let_go, lock_customer
from marketplace.offboarding.offboarding import OffboardingCause
from subscriptions.billing import by_hand
from subscriptions.billing.wish import Want, Wish
from subscriptions.ending import reminders
from subscriptions.ending.cancellation import cancel
from subscriptions.ending.settling import settle_due
from subscriptions.models import Channel, Interval, Plan, Price, Reason, Subscription
from subscriptions.starting import start

PASSWORD = "demo"  # noqa: S105  # published on purpose: demonstrations only


class Command(BaseCommand):
    help = "(Re)create the demo data: an account in every state, sign-ins with the password “demo”."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--if-empty", action="store_true", help="do nothing if there is an account already")
        parser.add_argument(
            "--reset",
            action="store_true",
            help="first remove everything, mails and files included; refused where SITE_URL is https",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["if_empty"] and Account.objects.exists():
            # Made before addresses had to be proven; nobody reads mail below this top-level domain (RFC 2606).
            for person in User.objects.filter(email__endswith=".example"):
                note_proven(person)
            self.stdout.write("There are accounts already; no demo data added.")
            return
        if options["reset"]:
            try:
                demo_reset.refuse_where_real()
            except demo_reset.NotADemo as refusal:
                raise CommandError(str(refusal)) from refusal
        with transaction.atomic():
            if options["reset"]:
                # Before the new demo makes its own; with the old rows everywhere until this commits.
                demo_reset.empty_tables()
                transaction.on_commit(demo_reset.forget_what_was_counted)
                demo_reset.remove_files()
            Demo(clock.now()).create()
        self.stdout.write(self.style.SUCCESS("Demo data is there. Sign in as owner@direct.example, password “demo”."))
        for place in Membership.objects.filter(role=Role.OWNER, user__email__endswith=".example").order_by(
            "user__email"
        ):
            self.stdout.write(f"{place.account_id}  {place.user.email}")


class Demo:
    """All dates are relative to `at`, so the demo looks the same on every day."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        # Hashing takes a fifth of a second by intention; one hash does for everybody whose password is published.
        self.password = make_password(PASSWORD)
        self.pro = self.plan("pro", "Pro", {Interval.MONTHLY: 49_00, Interval.ANNUAL: 490_00})
        self.enterprise = self.plan("enterprise", "Enterprise", {Interval.ANNUAL: 1_200_00})

    def plan(self, code: str, name: str, prices: dict[Interval, int]) -> Plan:
        """The plan of this code; made if missing, as where another product is sold, with all that is registered."""
        plan, new = Plan.objects.get_or_create(code=code, defaults={"name": name, "features": features.codes()})
        if new:
            Price.objects.bulk_create(
                Price(plan=plan, interval=interval, cents=cents) for interval, cents in prices.items()
            )
        return plan

    def create(self) -> None:
        self.staff()
        self.active()
        self.cancelling()
        self.new()
        self.two()
        self.leaving()
        self.trying()
        self.ended()
        self.running_out()
        self.at_aws()
        self.at_github()
        self.gone()
        # The mails that were due in the time that the demo tells of: none of them is late on its first day.
        reminders.remind_due(self.at)

    def staff(self) -> None:
        for email, name, role in (
            ("agent@support.example", "Alex Agent", roles.AGENT),
            ("lead@support.example", "Lee Lead", roles.LEAD),
            ("lead2@support.example", "Lou Lead", roles.LEAD),
        ):
            self.person(email, name, is_staff=True, is_superuser=False).groups.set([Group.objects.get(name=role)])

    def active(self) -> None:
        """Renews every month; beyond the money-back period."""
        account = self.account("Harbour Diagrams", "direct")
        self.person("admin@direct.example", "Ada Admin", account, Role.ADMIN)
        self.person("member@direct.example", "Max Member", account, Role.USER)
        self.content(account)
        self.subscribe(account, Channel.DIRECT, self.at - relativedelta(months=3, days=10), seats=3)

    def cancelling(self) -> None:
        """Cancelled two days ago; the end is ahead."""
        account = self.account("Lighthouse Studio", "cancelling")
        # The owner of the first account is a member here too: the account switcher has something to switch.
        self.person("owner@direct.example", "Olivia Direct", account, Role.ADMIN)
        self.content(account)
        subscription = self.subscribe(account, Channel.DIRECT, self.at - timedelta(days=12))
        if subscription:
            owner = account.owner()
            assert owner is not None
            cancel(
                subscription,
                by=Actor.owner(owner),
                at=self.at - timedelta(days=2),
                reason=Reason.TOO_EXPENSIVE,
                comment="We only draw a few times a year.",
            )

    def new(self) -> None:
        """Bought last week: inside the money-back period. The owner has asked for a refund."""
        account = self.account("Fresh Sails", "new")
        self.content(account)
        bought = self.at - timedelta(days=6)
        self.subscribe(account, Channel.DIRECT, bought, interval=Interval.ANNUAL, order_reference="ORD-20417")
        self.asks(account, RequestKind.REFUND, "We bought the wrong plan.", timedelta(hours=20))

    def two(self) -> None:
        """One person who owns two accounts: one renews, the other one is a trial."""
        east = self.account("Twin Docks East", "two")
        self.content(east)
        self.subscribe(east, Channel.DIRECT, self.at - relativedelta(months=2, days=4), seats=2)
        west = self.account("Twin Docks West", "two")
        self.content(west)
        self.subscribe(west, Channel.DIRECT, self.at - timedelta(days=3), trial_ends_at=self.at + timedelta(days=11))

    def leaving(self) -> None:
        """The owner has asked for deletion, and an agent has proposed it: a lead can approve."""
        account = self.account("Quiet Canal", "leaving")
        self.content(account)
        self.subscribe(account, Channel.DIRECT, self.at - relativedelta(months=5, days=3))
        request = self.asks(account, RequestKind.DELETION, "We close at the end of the year.", timedelta(days=3))
        agent = User.objects.get(email="agent@support.example")
        if request and not request.proposals.exists():
            deletion.propose(request, by=Actor.staff(agent), at=self.at - timedelta(days=1))

    def trying(self) -> None:
        account = self.account("Pilot Boats", "trial")
        self.content(account)
        self.subscribe(account, Channel.DIRECT, self.at - timedelta(days=4), trial_ends_at=self.at + timedelta(days=10))

    def ended(self) -> None:
        """Cancelled five weeks ago, ended a week ago: on Free, with what that takes away."""
        account = self.account("Old Pier", "ended")
        # Nothing was updated since the end.
        self.content(account, updated=timedelta(days=7, hours=1))
        started = self.at - timedelta(days=7) - relativedelta(months=2)
        subscription = self.subscribe(account, Channel.DIRECT, started)
        if subscription:
            owner = account.owner()
            assert owner is not None
            cancel(
                subscription,
                by=Actor.owner(owner),
                at=self.at - timedelta(days=20),
                reason=Reason.UNUSED,
            )
            self.say_stopped(account, self.deciding(), self.at - timedelta(days=19))
            settle_due(self.at)
            self.asks(account, RequestKind.OTHER, "Can you send me my last receipt?", timedelta(days=1))

    def running_out(self) -> None:
        account = self.account("Containers United", "sales")
        self.content(account)
        self.subscribe(
            account,
            Channel.DATADOG_SALES,
            self.at - relativedelta(months=11, days=10),
            plan=self.enterprise,
            seats=25,
            ends_at=self.at + timedelta(days=20),
            order_reference="Q-2025-1187",
        )

    def at_aws(self) -> None:
        """A contract at AWS Marketplace that renews, and a purchase by use whose cancellation there is in progress."""
        cranes = self.account("Cloud Cranes", "aws")
        self.content(cranes)
        started = self.at - timedelta(days=70)
        terms = AgreementTerms(
            accepted_at=started, starts_at=started, ends_at=started + relativedelta(years=1), auto_renewal=True
        )
        # Of the product that is sold at the AWS that is asked, where there is one.
        dimension = learn((settings.AWS_PRODUCT_CODES or ["demo"])[0], "pro_seats")
        Dimension.objects.filter(pk=dimension.pk, plan=None).update(plan=self.pro)
        self.buys_at_aws(cranes, "agmt-demo-cranes", "440000000001", terms, dimension=dimension, seats=5)
        leaving = self.account("Tidal Tunnels", "leaving-aws")
        self.content(leaving)
        started = self.at - timedelta(days=40)
        terms = AgreementTerms(accepted_at=started, starts_at=started)
        self.buys_at_aws(leaving, "agmt-demo-tunnels", "440000000002", terms)
        # Just now: for the whole final hour the page says so.
        names = Names(agreement_id="agmt-demo-tunnels", aws_account_id="440000000002")
        hear(Said("unsubscribe-pending", Word.LEAVING, self.at, names), self.at)

    def buys_at_aws(
        self, account: Account, agreement_id: str, aws_account_id: str, terms: AgreementTerms, **held: object
    ) -> None:
        """A purchase that this account made, unless an earlier run did. Nobody is asked: the buyer is invented."""
        at = terms.accepted_at
        if at is None or AwsAgreement.objects.filter(agreement_id=agreement_id).exists():
            return
        names = Names(agreement_id=agreement_id, aws_account_id=aws_account_id)
        AwsAgreement.objects.create(**names.known(), **held, account=account, first_heard_at=at, registered_at=at)
        hear(Said("Purchase Agreement Created", Word.RUNS, at, names, terms), at)

    def at_github(self) -> None:
        """One customer of GitHub Marketplace, and one that has left three days ago."""
        self.buys_at_github("Octo Ferries", "github", github_id=1001)
        left = self.buys_at_github("Ghost Tankers", "left", github_id=1002)
        if left.cancelled_at is None:
            received = self.at - timedelta(days=3)
            found = lock_customer(left.github_id)
            assert found
            let_go(found, cause=OffboardingCause.CANCELLED, received_at=received, at=received)

    def gone(self) -> None:
        """Asked for deletion six weeks ago: erased since, with a certificate. Its history still tells of it."""
        # Where stores elsewhere are configured its certificate waits for them.
        if Purge.objects.exclude(finished_at=None).exists():
            return
        account = self.account("Long Shore", "gone")
        self.content(account)
        self.subscribe(account, Channel.DIRECT, self.at - relativedelta(months=8))
        request = self.asks(account, RequestKind.DELETION, "We are moving on.", timedelta(days=42))
        agent, lead = self.deciding()
        assert request is not None
        deletion.propose(request, by=Actor.staff(agent), at=self.at - timedelta(days=41))
        approved = deletion.approve(request, by=Actor.staff(lead), at=self.at - timedelta(days=40))
        # Nothing is erased while a charge may still come.
        self.say_stopped(account, (agent, lead), approved.due_at)
        while (turn := runner.take_turn(approved, approved.due_at)) is not True:
            approved.refresh_from_db()
            if approved.finished_at:
                break
            if approved.attempts or (turn is False and not self.say_stopped(account, (agent, lead), approved.due_at)):
                why = approved.last_error or approved.waiting_for
                raise CommandError(f"The demo's erased account could not be erased: {why}")

    def deciding(self) -> tuple[User, User]:
        """An agent and a lead."""
        agent, lead = (User.objects.get(email=f"{name}@support.example") for name in ("agent", "lead"))
        return agent, lead

    def say_stopped(self, account: Account, by: tuple[User, User], at: datetime) -> bool:
        """Staff have stopped the renewals of this account in the payment system. Returns whether any was to be stopped.

        The second person is asked where a provider would stop them by itself: of what is invented it knows nothing.
        """
        wishes = Wish.objects.open().filter(subscription__account=account)
        for wish in wishes:
            for staff in by:
                if by_hand.say_done(wish, Want(wish.want), by=Actor.staff(staff), at=at) is by_hand.Said.DONE:
                    break
        return bool(wishes)

    def buys_at_github(self, name: str, domain: str, *, github_id: int) -> GitHubCustomer:
        """A customer with an account and an owner, made if missing."""
        if customer := GitHubCustomer.objects.filter(github_id=github_id).first():
            return customer
        purchase = ListedPurchase(
            buyer=Buyer(id=github_id, login=name, kind="Organization"),
            plan=ListedPlan(id=1, name="Pro", monthly_cents=49_00, yearly_cents=490_00, price_model="flat_rate"),
            yearly=False,
            seats=1,
            on_trial=False,
            trial_ends_on=None,
            next_billing_on=(self.at + timedelta(days=12)).date(),
        )
        customer = hold(purchase, None, heard=False, at=self.at - timedelta(days=45))
        ListingPlan.objects.filter(pk=1, plan=None).update(plan=self.pro)
        self.person(f"owner@{domain}.example", f"Olivia {domain.title()}", customer.account)
        self.content(customer.account)
        return customer

    def subscribe(
        self,
        account: Account,
        channel: Channel,
        started: datetime,
        *,
        plan: Plan | None = None,
        interval: Interval | None = None,
        seats: int = 1,
        trial_ends_at: datetime | None = None,
        ends_at: datetime | None = None,
        order_reference: str = "",
    ) -> Subscription | None:
        """Start the account's subscription, unless an earlier run did."""
        if Subscription.objects.of(account).exists():
            return None
        plan = plan or self.pro
        return start(
            account,
            plan=plan,
            channel=channel,
            interval=interval or (Interval.ANNUAL if plan == self.enterprise else Interval.MONTHLY),
            by=Actor.system(),
            at=started,
            seats=seats,
            trial_ends_at=trial_ends_at,
            ends_at=ends_at,
            order_reference=order_reference,
        )

    def asks(self, account: Account, kind: RequestKind, message: str, ago: timedelta) -> SupportRequest | None:
        """The owner's request of this kind; an earlier run's stays as it is, None if that one is closed."""
        if existing := account.requests.filter(kind=kind).first():
            return None if existing.closed_at else existing
        owner = account.owner()
        assert owner is not None
        made, _new = ask(account, kind=kind, message=message, by=Actor.owner(owner), at=self.at - ago)
        return made

    def account(self, name: str, domain: str) -> Account:
        """The account of `owner@DOMAIN.example`, made if it is missing."""
        owner_email = f"owner@{domain}.example"
        existing = Account.objects.filter(
            memberships__user__email=owner_email, memberships__role=Role.OWNER, name=name
        ).first()
        account = existing or Account.objects.create(name=name, created_at=self.at - relativedelta(months=14))
        self.person(owner_email, f"Olivia {domain.title()}", account)
        return account

    def person(
        self, email: str, name: str, account: Account | None = None, role: Role = Role.OWNER, **fields: object
    ) -> User:
        """The person with this email, made if missing, with the demo password, as a member of `account`."""
        user = User.objects.filter(email=email).first() or User(email=email, name=name)
        for field, value in fields.items():
            setattr(user, field, value)
        user.password = self.password
        user.save()
        note_proven(user)
        if account:
            Membership.objects.get_or_create(account=account, user=user, defaults={"role": role})
        return user

    def content(self, account: Account, *, updated: timedelta = timedelta(hours=1)) -> None:
        for fill in product.DEMO.all():
            fill(account, at=self.at, updated_at=self.at - updated)
