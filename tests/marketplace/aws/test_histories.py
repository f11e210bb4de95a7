"""Whatever happens to one buyer's messages, we end where AWS is.

Random lives: what the buyer does, which style of messages tells of it, what becomes of each message (late, twice, lost,
in another order), when the buyer registers, what AWS's API does in between. Then peace, and a day.
"""

import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.checks.breaker import BreakerOpen
from accounts.models import Account, Delivery, Membership, Notice, User
from marketplace.aws.client import AwsError
from marketplace.models import AwsAgreement as Row
from subscriptions.models import Subscription
from tests.factories import NOW
from tests.fakes.aws import Agreement, Buyer, FakeAWS, Happened, Message
from tests.marketplace.aws.world import DAY, HOUR, STYLES, SWEEPS, AwsWorld

pytestmark = pytest.mark.django_db

acts = st.sampled_from(
    [
        *("buy", "trial", "buy again beside", "amend", "renewal off", "renewal on", "unsubscribe", "resubscribe"),
        *("renew", "replace", "expire", "register", "register", "wait", "wait", "wait"),
    ]
)
fates = st.sampled_from(["arrives", "arrives", "arrives", "twice", "late", "lost", "shuffled"])
troubles = st.sampled_from(["none", "none", "none", "fails", "idle"])
Acts = list[tuple[str, str, str, int]]


@given(
    style=st.sampled_from(sorted(STYLES)),
    usage=st.booleans(),
    named=st.booleans(),
    history=st.lists(st.tuples(acts, fates, troubles, st.integers(0, 2**16)), max_size=14),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_life_ends_where_aws_is(aws: FakeAWS, style: str, usage: bool, named: bool, history: Acts) -> None:
    with transaction.atomic():
        Life(aws, style, usage=usage, named=named).lived(history)
        transaction.set_rollback(True)


class Life:
    """One buyer, who is one person here, and everything that is bought."""

    def __init__(self, aws: FakeAWS, style: str, *, usage: bool, named: bool) -> None:
        product = next(iter(aws.products.values()))
        aws.clear()
        aws.now = NOW
        aws.names_agreements = named
        self.product = aws.product(product.code, pricing="usage" if usage else "contract")
        self.world = AwsWorld(aws, style)
        self.aws = aws
        # SNS knows old integrations only.
        self.buyer: Buyer = self.world.buyer(old=style != "EventBridge")
        self.person = User.objects.create_user("owner@example.org")
        self.late: list[Message] = []
        self.leaving: list[Agreement] = []
        #: What was registered, and the account that it got.
        self.registered: dict[str, Account] = {}

    def lived(self, history: Acts) -> None:
        for act, fate, trouble, seed in history:
            chance = random.Random(seed)  # noqa: S311  # reproducible lives
            for happened in self.perform(act, chance):
                self.deliver(happened, fate, chance)
            if self.late and chance.random() < 0.5:
                self.world.accept(self.late.pop(chance.randrange(len(self.late))))
            self.suffer(trouble, chance)
            self.aws.heal()
        for message in self.late:
            self.world.accept(message)
        self.peace()
        self.compare()

    def perform(self, act: str, chance: random.Random) -> list[Happened]:
        """One act of the buyer, if it makes sense just now."""
        told = self.over()
        active = [agreement for agreement in self.aws.agreements.values() if agreement.status == "ACTIVE"]
        some = chance.choice(active) if active else None
        contract = self.product.pricing == "contract"
        seats = {"pro_seats": chance.randint(1, 9)} if contract else {}
        if act == "wait":
            self.world.passes(chance.choice([timedelta(minutes=1), timedelta(minutes=20), HOUR, DAY, 9 * DAY]))
            return told + self.over()
        if act in ("buy", "trial") and not active:
            ends = self.aws.now + 14 * DAY if act == "trial" else None
            bought = self.aws.buy(self.buyer, self.product, entitlements=dict(seats), trial_ends_at=ends)
            return [*told, bought]
        if act == "buy again beside" and len(active) == 1:
            return [*told, self.aws.buy(self.buyer, self.product, entitlements=dict(seats))]
        if act == "register":
            self.register(chance)
        elif act == "resubscribe" and self.leaving:
            return [*told, self.aws.resubscribe(self.leaving.pop(0))]
        elif some and act == "unsubscribe":
            self.leaving.append(some)
            return [*told, self.aws.unsubscribe(some)]
        elif some and contract:
            return told + self.change(act, some, seats)
        return told

    def change(self, act: str, some: Agreement, seats: dict[str, int]) -> list[Happened]:
        if act == "amend":
            return [self.aws.amend(some, entitlements=dict(seats))]
        if act in ("renewal off", "renewal on"):
            return [self.aws.set_auto_renewal(some, act == "renewal on")]
        if act == "renew":
            return [self.aws.renew(some)]
        if act == "replace":
            return [self.aws.replace(some, entitlements=dict(seats))]
        if act == "expire":
            self.leaving.append(some)
            return [self.aws.expire(some)]
        return []

    def over(self) -> list[Happened]:
        """The final hours that are over by now."""
        done = [each for each in self.leaving if each.updated_at + HOUR <= self.aws.now]
        self.leaving = [each for each in self.leaving if each not in done]
        return [self.aws.finish_unsubscribe(each) for each in done]

    def register(self, chance: random.Random) -> None:
        """The buyer presses “Set up your account” of any purchase that can still be set up, early or late."""
        agreements = [
            each for each in self.aws.agreements.values() if each.status == "ACTIVE" and each.id not in self.registered
        ]
        if agreements:
            chosen = chance.choice(agreements)
            self.registered[chosen.id] = self.world.registers(chosen, self.person)

    def deliver(self, happened: Happened, fate: str, chance: random.Random) -> None:
        messages = list(STYLES[self.world.style](happened))
        if fate == "shuffled":
            chance.shuffle(messages)
        for message in messages:
            # Each message has a fate of its own, as a rule that of its happening.
            becomes = fate if chance.random() < 0.7 else chance.choice(["arrives", "late", "lost", "twice"])
            if becomes == "late":
                self.late.append(message)
            for _time in range({"arrives": 1, "shuffled": 1, "twice": 2}.get(becomes, 0)):
                self.world.accept(message)

    def suffer(self, trouble: str, chance: random.Random) -> None:
        """The sweeps run, or some of them, while AWS has its trouble."""
        if trouble == "fails":
            code = chance.choice(["ThrottlingException", "InternalServiceErrorException", "AccessDeniedException"])
            what = chance.choice(["marketplace-agreement.*", "marketplace-entitlement.*", "marketplace-*"])
            self.aws.fail(what, code, times=chance.randint(1, 6))
        if trouble == "idle":
            return
        for name in SWEEPS:
            if chance.random() < 0.7:
                with suppress(AwsError, BreakerOpen):
                    self.world.run(name)

    def peace(self) -> None:
        """No more trouble, and a day."""
        for _turn in range(14):
            self.world.passes(2 * HOUR)
            for happened in self.over():
                for message in STYLES[self.world.style](happened):
                    self.world.accept(message)
            self.world.run(*SWEEPS)

    def compare(self) -> None:
        """Our side is AWS's side."""
        assert list(Delivery.objects.unprocessed().values_list("last_error", flat=True)) == []
        rows = list(Row.objects.registered())
        for row in rows:
            if row.agreement_id is None:
                # What it seemed to go on as is another registered purchase: it has ended under its former ids.
                assert not row.runs
                continue
            held = self.aws.agreements[row.agreement_id]
            assert held.status not in ("RENEWED", "REPLACED"), "it has gone on"
            assert row.runs == (held.status == "ACTIVE"), (held.status, vars(row))
            live = self.world.live(row.account) if row.account else None
            assert (live is not None) == row.runs
            if live:
                assert (live.pk, live.plan_id) == (row.subscription_id, "pro")
                assert live.seats == held.entitlements.get("pro_seats", 1)
                assert row.renews_or_ends_at == held.ends_at
                assert row.auto_renewal == (held.auto_renewal if held.ends_at else None)
                assert row.licence_id == held.license_id
                assert row.unsubscribe_pending_at is None
        self.compare_registered({row.agreement_id: row for row in rows})
        self.compare_told()

    def compare_registered(self, rows: dict[str | None, Row]) -> None:
        """What was registered and runs, in its own name or in that of what it became, is with the account it got."""
        heads: dict[str, set[Account]] = {}
        for known, account in self.registered.items():
            # A purchase that was registered under what it was and again under what it became is with one of the two.
            heads.setdefault(self.head(self.aws.agreements[known]).id, set()).add(account)
        for head, accounts in heads.items():
            if self.aws.agreements[head].status == "ACTIVE":
                assert rows[head].account in accounts
        running = [row for row in rows.values() if row.runs]
        assert len({row.account_id for row in running}) == len(running)
        assert Subscription.objects.live(self.aws.now).count() == len(running)

    def head(self, agreement: Agreement) -> Agreement:
        later = next((each for each in self.aws.agreements.values() if each.previous is agreement), None)
        return self.head(later) if later else agreement

    def compare_told(self) -> None:
        """The owner got one mail for each end, and no more than one for each cancellation."""
        assert Membership.objects.filter(user=self.person).count() == Account.objects.count()
        told = Counter(Notice.objects.values_list("kind", "account"))
        for account in Account.objects.all():
            subscriptions = account.subscriptions.filter(settled_at__isnull=False)
            assert told["marketplace/aws_ended", account.pk] == subscriptions.count()
            left = account.events.filter(kind="aws.leaving").count()
            assert told["marketplace/aws_leaving", account.pk] == left
            started = account.events.filter(kind="subscription.started").count()
            assert started == account.subscriptions.count()
