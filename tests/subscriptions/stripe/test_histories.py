"""Whatever happens between an owner, staff, Stripe and time, both sides end alike, and nobody pays for nothing.

Random histories: what the owner does here and on Stripe's page, what staff do here and in Stripe's dashboard, cards
that fail, what becomes of the events (late, twice, lost), what Stripe does to our calls (fails, does it and is not
heard, is away for hours), where our worker dies. Then peace. `HYPOTHESIS_PROFILE=thorough` lives through 2,000 of them.
"""

import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.checks.breaker import BreakerOpen
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.inbox import inbox
from accounts.mail.notices import Notice
from accounts.models import Account, User
from subscriptions import changes
from subscriptions.billing import agreeing
from subscriptions.billing.wish import Wish
from subscriptions.ending import settling
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from subscriptions.refunds import decisions, paying
from subscriptions.refunds.refund import Ends, Refund
from subscriptions.stripe import checks
from subscriptions.stripe.customer import StripeCustomer
from tests.factories import AccountFactory, owner_of
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.deliveries import Delivery

pytestmark = pytest.mark.django_db
BOUGHT = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DOOR = "/billing/stripe/webhook/"

ACTS = (
    *("wait", "wait", "wait", "cancel", "cancel", "keep", "end", "refund"),
    *("portal_cancel", "portal_keep", "dashboard_end", "card_fails", "card_pays"),
)
acts = st.sampled_from(ACTS)
fates = st.sampled_from(["arrives", "arrives", "twice", "late", "lost"])
troubles = st.sampled_from(["none", "none", "fails", "unheard", "away", "dies"])
history_of = st.lists(st.tuples(acts, fates, troubles, st.integers(0, 2**16)), max_size=12)


@given(history=history_of)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_history_ends_alike_on_both_sides(
    stripe: FakeStripe, client: Client, history: list[tuple[str, str, str, int]]
) -> None:
    stripe.clear()
    undone = transaction.atomic()
    # As Django's own test cases: what is durable in production may stand within it.
    vars(undone)["_from_testcase"] = True
    with undone:
        life = Life(stripe, client)
        for act, fate, trouble, seed in history:
            life.goes_on(act, fate, trouble, random.Random(seed))  # noqa: S311  # reproducible
        life.comes_to_rest()
        life.agrees()
        transaction.set_rollback(True)


class Life:
    """One account that bought Pro at Stripe on the last of January."""

    def __init__(self, stripe: FakeStripe, client: Client) -> None:
        self.stripe, self.client = stripe, client
        stripe.now = BOUGHT
        self.account: Account = AccountFactory()
        self.customer = stripe.customer()
        price = stripe.price(4900, lookup_key="pro-monthly")
        StripeCustomer.objects.create(account=self.account, reference=self.customer["id"], livemode=False)
        self.there = stripe.subscribe(self.customer, price)
        self.late: list[Delivery] = []
        self.agent, self.lead = (
            Actor.staff(User.objects.create_user(email=f"{name}@example.com", is_staff=True)) for name in ("a", "b")
        )
        self.works()
        self.here = Subscription.objects.get(account=self.account)
        self.by = owner_of(self.here)

    @property
    def at(self) -> datetime:
        return self.stripe.now

    def goes_on(self, act: str, fate: str, trouble: str, chance: random.Random) -> None:
        # What is refused is refused with nothing changed.
        with suppress(Refused):
            getattr(self, act)(chance)
        self.tell(fate, chance)
        self.works(trouble, chance)

    # Acts.

    def wait(self, chance: random.Random) -> None:
        self.passes(chance.choice([5 * MINUTE, HOUR, DAY, 9 * DAY, 27 * DAY]), chance.random() < 0.5)

    def cancel(self, chance: random.Random) -> None:
        cancel(self._now(), by=self.by, at=self.at, reason="unused")

    def keep(self, chance: random.Random) -> None:
        if standing := self._now().cancellations.order_by("-requested_at").first():
            withdraw(standing, by=self.by, at=self.at)

    def end(self, chance: random.Random) -> None:
        changes.end_now(self._now(), by=self.lead, at=self.at)

    def refund(self, chance: random.Random) -> None:
        payments = [payment for invoice in self.stripe.invoices for payment in self.stripe.payments_of(invoice)]
        intents = [payment["payment"].get("payment_intent") for payment in payments if payment["status"] == "paid"]
        if not intents:
            return
        found, _new = decisions.propose(
            self._now(),
            cents=chance.choice([1000, 4900]),
            currency="USD",
            ends=chance.choice([Ends.NOW, Ends.CYCLE_END]),
            payment_reference=chance.choice(intents),
            by=self.agent,
            at=self.at,
        )
        decisions.approve(found, by=self.lead, at=self.at)

    def portal_cancel(self, chance: random.Random) -> None:
        if self._runs_there():
            self.stripe.portal_cancel(self.there, feedback="unused")

    def portal_keep(self, chance: random.Random) -> None:
        if self._runs_there() and (self.there["cancel_at"] or self.there["cancel_at_period_end"]):
            self.stripe.portal_keep(self.there)

    def dashboard_end(self, chance: random.Random) -> None:
        if self._runs_there():
            self.stripe.end_now(self.there)

    def card_fails(self, chance: random.Random) -> None:
        self.stripe.pay_with(self.customer, "declines")

    def card_pays(self, chance: random.Random) -> None:
        self.stripe.pay_with(self.customer, "pays")

    def _runs_there(self) -> bool:
        return self.there["status"] in ("active", "past_due", "unpaid", "trialing", "paused")

    def _now(self) -> Subscription:
        return Subscription.objects.select_related("account").get(pk=self.here.pk)

    # Time and troubles.

    def passes(self, time: timedelta, swept: bool = True) -> None:
        """In steps, the sweeps between them, or else beat is away for all of it."""
        until = self.at + time
        while swept and self.at + 6 * HOUR < until:
            self.stripe.advance(self.at + 6 * HOUR)
            self.works()
        self.stripe.advance(until)

    def tell(self, fate: str, chance: random.Random) -> None:
        if fate == "lost":
            self.stripe.lose()
            return
        deliveries = self.stripe.take()
        if fate == "late":
            self.late += deliveries
            return
        if self.late and chance.random() < 0.5:
            deliveries.insert(0, self.late.pop(chance.randrange(len(self.late))))
        for delivery in deliveries * (2 if fate == "twice" else 1):
            self.post(delivery)

    def post(self, delivery: Delivery) -> None:
        answer = self.client.post(DOOR, delivery.body, content_type="application/json", headers=delivery.headers)
        assert answer.status_code < 500

    def works(self, trouble: str = "none", chance: random.Random | None = None) -> None:
        """Our sweeps, while Stripe or the worker has its trouble."""
        faults = []
        if trouble == "fails":
            faults = [self.stripe.fail("*", status=500, times=3)]
        elif trouble == "unheard":
            faults = [self.stripe.fail("POST *", disconnect=True, carried_out=True, times=2)]
        elif trouble == "away":
            faults = [self.stripe.away()]
        turns: list[Any] = [self.hears, agreeing.agree_due, checks.check_due, paying.carry_out_due, settling.settle_due]
        if trouble == "dies" and chance:
            turns = turns[: chance.randrange(len(turns))]
        for turn in turns:
            with suppress(BreakerOpen):
                turn(self.at)
        self.stripe.heal(*faults)

    def hears(self, at: datetime) -> None:
        for delivery in self.stripe.take():
            self.post(delivery)
        # The door reads the real clock, which is ahead of the story's.
        inbox.process_due(at + 3650 * DAY)
        StripeCustomer.objects.exclude(check_at=None).update(check_at=at)

    def comes_to_rest(self) -> None:
        """No more trouble; late events come; the nightly walk has been; and three renewals could have been."""
        self.stripe.pay_with(self.customer, "pays")
        for delivery in self.late:
            self.post(delivery)
        for step in (HOUR, 6 * HOUR, DAY, 4 * DAY, 9 * DAY, 27 * DAY, 9 * DAY, DAY, DAY):
            self.passes(step, swept=False)
            StripeCustomer.objects.update(check_at=self.at, check_since=self.at)
            # What waits for its next attempt has it.
            for _turn in range(2):
                Wish.objects.filter(agreed_at=None).update(next_attempt_at=self.at)
                Refund.objects.filter(ended_at=None).exclude(next_attempt_at=None).update(next_attempt_at=self.at)
                self.works()
                self.stripe.advance(self.at + 20 * MINUTE)

    # What must be so in the end.

    def agrees(self) -> None:
        here, there = self._now(), self.there
        wish = Wish.objects.filter(subscription=here).first()
        assert wish is None or wish.agreed_at, f"{wish}: {wish.last_error} {wish.outcome} {wish.answer}"
        if here.is_over(self.at):
            assert there["status"] == "canceled"
            assert here.settled_at
            assert here.ends_at is not None
            self._nothing_is_paid_beyond(here.ends_at)
        else:
            assert self._runs_there()
            ends = there["cancel_at"]
            assert here.ends_at == (datetime.fromtimestamp(ends, UTC) if ends else None)
            assert [invoice for invoice in self.stripe.invoices if invoice["status"] == "void"] == []
        self._nothing_is_paid_back_twice()
        told = Notice.objects.filter(account=self.account, kind="subscriptions/subscription_ended")
        assert told.count() <= 1

    def _nothing_is_paid_beyond(self, end: datetime) -> None:
        """No time that begins with the promised end or later is paid for, when what was paid back is taken off."""
        for invoice in self.stripe.invoices:
            begins = max(line["period"]["start"] for line in invoice["lines"]["data"])
            if begins < int(end.timestamp()) - 1 or invoice["billing_reason"] == "subscription_create":
                continue
            intents = [payment["payment"].get("payment_intent") for payment in self.stripe.payments_of(invoice)]
            back = sum(
                refund["amount"]
                for refund in self.stripe.refunds
                if refund["payment_intent"] in intents and refund["status"] != "failed"
            )
            assert invoice["amount_paid"] == back, f"{invoice['id']} is paid for a time after {end}"
            assert invoice["status"] != "open", f"{invoice['id']} can still be paid"

    def _nothing_is_paid_back_twice(self) -> None:
        ours = Counter(refund["metadata"].get("offboard_refund", refund["id"]) for refund in self.stripe.refunds)
        assert set(ours.values()) <= {1}
        finished = Refund.objects.filter(subscription=self.here).exclude(ended_at=None)
        assert {refund.reference for refund in finished} <= set(ours)
