"""One account that buys at Stripe, and whoever may do something about it; for `test_histories`.

Time, what is told us, and what Stripe and this machine do to our calls are here as well. What must be so in the end is
`tests.subscriptions.stripe.promises`.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta

from django.test import Client

from accounts.checks.breaker import BreakerOpen
from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers.history import Actor
from accounts.erasure import starting
from accounts.erasure.purge import Purge
from accounts.inbox import inbox
from accounts.inbox.delivery import Delivery
from accounts.models import Account, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from subscriptions import changes
from subscriptions.billing import agreeing, buying
from subscriptions.billing.purchase import Purchase
from subscriptions.billing.selling import OutOfReach, seller
from subscriptions.billing.wish import Wish
from subscriptions.ending import settling
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from subscriptions.refunds import decisions, paying
from subscriptions.refunds.refund import Ends, Refund
from subscriptions.stripe import checks, reconciliation
from subscriptions.stripe.customer import StripeCustomer
from tests.factories import AccountFactory
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe import deliveries as told
from tests.fakes.stripe.refusals import Refused as RefusedThere
from tests.fakes.stripe.spec import Json
from tests.fakes.stripe.traffic import Fault
from tests.faults.dying import dying, dying_at

BOUGHT = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DOOR = "/billing/stripe/webhook/"
#: After these a subscription at Stripe is over.
OVER = ("canceled", "incomplete_expired")
#: Statements of a worker's turn that may be its last; most turns have fewer, and die of nothing.
MOST_STATEMENTS, MOST_CALLS = 40, 6


class Life:
    """One account that bought Pro at Stripe on the last of January, by the month or the year, with a trial or none."""

    def __init__(
        self, stripe: FakeStripe, client: Client, *, yearly: bool, trial: bool, classic: bool, after: str, refunds: str
    ) -> None:
        self.stripe, self.client = stripe, client
        stripe.now, stripe.after_retries, stripe.refunds_are = BOUGHT, after, refunds
        self.account: Account = AccountFactory()
        self.customer = stripe.customer()
        self.prices = {
            key: stripe.price(cents, lookup_key=key, interval="year" if "annual" in key else "month")
            for key, cents in (
                ("pro-monthly", 4900),
                ("enterprise-monthly", 9900),
                ("pro-annual", 49000),
            )
        }
        StripeCustomer.objects.create(account=self.account, reference=self.customer["id"], livemode=False)
        stripe.subscribe(
            self.customer,
            self.prices["pro-annual" if yearly else "pro-monthly"],
            quantity=2,
            trial_end=BOUGHT + 14 * DAY if trial else None,
            mode="classic" if classic else "flexible",
        )
        self.late: list[told.Delivery] = []
        self.agent, self.lead = (
            Actor.staff(User.objects.create_user(email=f"{name}@example.com", is_staff=True)) for name in ("a", "b")
        )
        owner = self.account.owner()
        assert owner is not None
        self.owner, self.by = owner, Actor.owner(owner)
        self.works()

    @property
    def at(self) -> datetime:
        return self.stripe.now

    def goes_on(self, act: str, fate: str, trouble: str, chance: random.Random) -> None:
        # What is refused is refused with nothing changed.
        with suppress(Refused, RefusedThere, OutOfReach, BeingErased):
            getattr(self, act)(chance)
        self.tell(fate, chance)
        self.works(trouble, chance)

    # The owner, here.

    def cancel(self, chance: random.Random) -> None:
        if here := self.here():
            cancel(here, by=self.by, at=self.at, reason="unused")

    def keep(self, chance: random.Random) -> None:
        here = self.here()
        if here and (standing := here.cancellations.order_by("-requested_at").first()):
            withdraw(standing, by=self.by, at=self.at)

    def buy(self, chance: random.Random) -> None:
        """Comes back, or would like a second one: on Checkout, and the page after it may never be seen."""
        provider = seller()
        assert provider is not None
        offers = provider.offers(self.at)
        offer = chance.choice([found for found in offers if found.plan.pk == "pro"])
        buying.lead_to_payment(self.account, offer, seats=1, seller=provider, by=self.owner, at=self.at)
        purchase = Purchase.objects.open().get(account=self.account)
        self.stripe.complete(purchase.session_reference, card=chance.choice(["pays", "pays", "debits"]))
        if chance.random() < 0.5:
            buying.confirm(purchase, at=self.at)

    def ask_for_deletion(self, chance: random.Random) -> None:
        ask(self.account, kind=RequestKind.DELETION, message="", by=self.by, at=self.at)

    def call_deletion_off(self, chance: random.Random) -> None:
        deletion.call_off(self.account, by=self.by, at=self.at)

    # The owner, on Stripe's pages.

    def portal_cancel(self, chance: random.Random) -> None:
        if (there := self.there()) and not there["schedule"]:
            self.stripe.portal_cancel(there, feedback="unused")

    def portal_keep(self, chance: random.Random) -> None:
        there = self.there()
        if there and (there["cancel_at"] or there["cancel_at_period_end"]) and not there["schedule"]:
            self.stripe.portal_keep(there)

    def portal_change(self, chance: random.Random) -> None:
        """Another plan, a year instead of a month, more seats."""
        if there := self.there():
            price = chance.choice([None, *self.prices.values()])
            self.stripe.change(there, price=price, quantity=chance.choice([1, 2, 3]))

    def pay_invoice(self, chance: random.Random) -> None:
        """What is open is paid on the page that its mail links to."""
        for invoice in self.stripe.invoices:
            if invoice["status"] == "open":
                self.stripe.pay(invoice, card="pays")

    def card_fails(self, chance: random.Random) -> None:
        self.stripe.pay_with(self.customer, "declines")

    def card_pays(self, chance: random.Random) -> None:
        self.stripe.pay_with(self.customer, chance.choice(["pays", "pays", "debits"]))

    # Staff, here.

    def end(self, chance: random.Random) -> None:
        if here := self.here():
            changes.end_now(here, by=self.lead, at=self.at)

    def refund(self, chance: random.Random) -> None:
        here = self.here()
        paid = [
            payment["payment"]["payment_intent"]
            for invoice in self.stripe.invoices
            for payment in self.stripe.payments_of(invoice)
            if payment["status"] == "paid" and payment["payment"].get("payment_intent")
        ]
        if here is None or not paid:
            return
        found, _new = decisions.propose(
            here,
            cents=chance.choice([1000, 4900, 9800]),
            currency="USD",
            ends=chance.choice([Ends.NOW, Ends.CYCLE_END]),
            payment_reference=chance.choice(paid),
            by=self.agent,
            at=self.at,
        )
        decisions.approve(found, by=self.lead, at=self.at)

    def approve_deletion(self, chance: random.Random) -> None:
        request, _new = ask(self.account, kind=RequestKind.DELETION, message="", by=self.by, at=self.at)
        deletion.propose(request, by=self.agent, at=self.at, override="They know.")
        deletion.approve(request, by=self.lead, at=self.at)

    # Staff, in Stripe's dashboard.

    def dashboard_end(self, chance: random.Random) -> None:
        if there := self.there():
            self.stripe.end_now(there)

    def dashboard_cancel(self, chance: random.Random) -> None:
        """With the period, or on a day of theirs."""
        if (there := self.there()) and not there["schedule"]:
            on_a_day = self.at + chance.choice([5, 40]) * DAY
            self.stripe.dashboard_cancel(there, "period_end" if chance.random() < 0.5 else on_a_day)

    def dashboard_refund(self, chance: random.Random) -> None:
        paid = [invoice for invoice in self.stripe.invoices if invoice["status"] == "paid" and invoice["amount_paid"]]
        if paid:
            self.stripe.refund(chance.choice(paid), chance.choice([None, 500]))

    def second_subscription(self, chance: random.Random) -> None:
        self.stripe.subscribe(self.customer, self.prices["pro-monthly"])

    def pause(self, chance: random.Random) -> None:
        there = self.there()
        if there and there["status"] in ("active", "trialing"):
            self.stripe.pause(there)

    def resume(self, chance: random.Random) -> None:
        there = self.there()
        if there and there["status"] == "paused":
            self.stripe.resume(there)

    def pause_collection(self, chance: random.Random) -> None:
        if there := self.there():
            behavior = chance.choice([None, "void", "keep_as_draft", "mark_uncollectible"])
            self.stripe.pause_collection(there, behavior)

    def longer_trial(self, chance: random.Random) -> None:
        there = self.there()
        if there and there["status"] == "trialing":
            self.stripe.update_subscription(there, {"trial_end": int((self.at + 10 * DAY).timestamp())})

    def schedule(self, chance: random.Random) -> None:
        there = self.there()
        if there and not there["schedule"] and there["status"] in ("active", "trialing"):
            self.stripe.schedule_for(there, end_behavior=chance.choice(["cancel", "release"]))

    # Banks.

    def dispute(self, chance: random.Random) -> None:
        charges = [charge for charge in self.stripe.charges if charge["status"] == "succeeded"]
        if charges:
            self.stripe.dispute(
                chance.choice(charges), status=chance.choice(["needs_response", "warning_needs_response"])
            )

    def dispute_ends(self, chance: random.Random) -> None:
        for dispute in self.stripe.disputes:
            if dispute["status"] in ("needs_response", "warning_needs_response"):
                inquiry = dispute["status"].startswith("warning")
                self.stripe.close_dispute(dispute, "warning_closed" if inquiry else chance.choice(["won", "lost"]))

    def refund_settles(self, chance: random.Random) -> None:
        self._settle_refunds(lambda: chance.choice(["succeeded", "failed"]))

    def _settle_refunds(self, how: Callable[[], str]) -> None:
        for refund in self.stripe.refunds:
            if refund["status"] in ("pending", "requires_action"):
                self.stripe.settle_refund(refund, how())

    # Who holds what.

    def here(self) -> Subscription | None:
        """The newest that is or was held here."""
        return Subscription.objects.filter(account=self.account).select_related("account").order_by("-pk").first()

    def there(self) -> Json | None:
        """What runs at Stripe: the oldest of it."""
        return next((found for found in self.stripe.subscriptions if found["status"] not in OVER), None)

    def erased(self) -> bool:
        """Whether its erasing has begun: from then on nothing is written to it, and nobody is told."""
        return Account.objects.filter(pk=self.account.pk, purging_at__isnull=False).exists()

    # Time and troubles.

    def wait(self, chance: random.Random) -> None:
        self.passes(chance.choice([5 * MINUTE, HOUR, DAY, 9 * DAY, 27 * DAY]), swept=chance.random() < 0.6)

    def passes(self, time: timedelta, *, swept: bool) -> None:
        """With our sweeps after each thing that happens at Stripe, or with beat away for all of it."""
        until = self.at + time
        while swept and (next_due := self.stripe.next_due) and next_due <= until:
            self.stripe.advance(max(self.at, next_due))
            self.works()
        self.stripe.advance(until)

    def tell(self, fate: str, chance: random.Random) -> None:
        if fate == "lost":
            self.stripe.lose()
            return
        deliveries = self.stripe.take(shuffled=chance.randrange(1000) if fate == "shuffled" else None)
        if fate == "late":
            self.late += deliveries
            return
        if self.late and chance.random() < 0.5:
            deliveries.insert(0, self.late.pop(chance.randrange(len(self.late))))
        for delivery in deliveries * (2 if fate == "twice" else 1):
            self.post(delivery)

    def post(self, delivery: told.Delivery) -> None:
        answer = self.client.post(DOOR, delivery.body, content_type="application/json", headers=delivery.headers)
        assert answer.status_code < 500

    def works(self, trouble: str = "none", chance: random.Random | None = None) -> None:
        """Our sweeps, while Stripe or the worker has its trouble."""
        for delivery in self.stripe.take():
            self.post(delivery)
        # The door reads the real clock; what came through it came at the story's.
        Delivery.objects.unprocessed().update(received_at=self.at, next_attempt_at=self.at)
        with self.in_trouble(trouble, chance):
            for turn in self._due():
                turn(self.at)

    def _due(self) -> Iterator[Callable[[datetime], object]]:
        """The sweeps that find anything: most find nothing, and there are thousands of them."""
        turns = (
            (inbox.process_due, Delivery.objects.unprocessed()),
            (agreeing.agree_due, Wish.objects.open().filter(next_attempt_at__lte=self.at)),
            (checks.check_due, StripeCustomer.objects.filter(check_at__lte=self.at)),
            (paying.carry_out_due, Refund.objects.pending().filter(next_attempt_at__lte=self.at)),
            (buying.confirm_due, Purchase.objects.open().filter(next_attempt_at__lte=self.at)),
            (settling.settle_due, Subscription.objects.ended(self.at).unsettled()),
            (self._erasing_begins, Purge.objects.filter(due_at__lte=self.at, started_at=None, called_off_at=None)),
        )
        for turn, rows in turns:
            if rows.exists():
                yield turn

    def _erasing_begins(self, at: datetime) -> None:
        """The point of no return of a deletion; what it erases is not what this is about."""
        for purge in Purge.objects.filter(due_at__lte=at, started_at=None, called_off_at=None):
            starting.start(purge, at=at)

    @contextmanager
    def in_trouble(self, trouble: str, chance: random.Random | None) -> Iterator[None]:
        faults: list[Fault] = []
        death: AbstractContextManager[object] = nullcontext()
        match trouble:
            case "fails":
                faults = [self.stripe.fail("*", status=500, times=3)]
            case "unheard":
                faults = [self.stripe.fail("POST *", disconnect=True, carried_out=True, times=2)]
            case "limited":
                faults = [self.stripe.fail("*", status=429, reason="global-rate", times=1)]
            case "away":
                faults = [self.stripe.away()]
            case "dies":
                assert chance is not None
                death = dying_at(chance.randrange(1, MOST_STATEMENTS))
            case "dies calling":
                assert chance is not None
                # Its call may have been carried out, and nobody heard.
                last = self.stripe.fail(
                    "*", disconnect=True, carried_out=chance.random() < 0.5, skip=chance.randrange(MOST_CALLS)
                )
                faults = [last]
                death = dying(lambda: last.left == 0)
        try:
            with death:
                yield
        finally:
            self.stripe.heal(*faults)

    # Peace.

    def comes_to_rest(self) -> None:
        """No more trouble; late events come; the nightly walk has been; and a renewal could have been, and another."""
        self.stripe.pay_with(self.customer, "pays")
        for delivery in self.late:
            self.post(delivery)
        for step, night in ((HOUR, False), (DAY, True), (5 * DAY, False), (27 * DAY, True), (32 * DAY, False)):
            self.passes(step, swept=False)
            self._settle_refunds(lambda: "succeeded")
            # What waits for its next attempt, or a dead worker has in its hands, has its turn.
            for rows in (Wish.objects.open(), Refund.objects.pending(), Purchase.objects.open()):
                rows.update(next_attempt_at=self.at)
            StripeCustomer.objects.exclude(check_at=None).update(check_at=self.at)
            if night:
                with suppress(BreakerOpen):
                    reconciliation.reconcile(self.at)
            self.works()
            self.stripe.advance(self.at + 20 * MINUTE)
        self.works()
