"""Two things at once where Stripe charges: a hold, a refund, a deletion, another account, Redis away, a kill."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.erasure.holds import set_hold
from accounts.erasure.purge import Purge
from accounts.erasure.runner import take_turn
from accounts.jobs.due_work import claim
from accounts.models import Account, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from config.cache import Cache
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.wish import Cause, Wish
from subscriptions.ending.cancellation import cancel
from subscriptions.ending.settling import settle_due
from subscriptions.models import Ends, Subscription
from subscriptions.refunds import decisions
from subscriptions.refunds.paying import carry_out_due
from subscriptions.stripe import checks
from subscriptions.stripe.customer import StripeCustomer
from subscriptions.stripe.forgetting import forget_due
from tests.factories import AccountFactory, owner_of
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.spec import Json
from tests.pages import forms_on
from tests.subscriptions.stripe.test_checks import BOUGHT, DAY, FIRST_END, HOUR, MINUTE, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(stripe: FakeStripe, client: Client) -> World:
    return World(stripe, client)


@pytest.fixture
def held(world: World) -> Json:
    bought = world.buy()
    world.hear()
    return bought


@pytest.fixture
def redis_is_away(settings: Settings) -> Iterator[None]:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    LocMemCache("while Redis is away", {}).clear()
    yield
    Cache._away_until = 0.0


def paid(stripe: FakeStripe) -> int:
    charged = sum(int(invoice["amount_paid"]) for invoice in stripe.invoices)
    return charged - sum(int(refund["amount"]) for refund in stripe.refunds)


def test_a_hold_keeps_the_data_and_stops_no_end(world: World, held: Json, stripe: FakeStripe, lead: User) -> None:
    set_hold(world.account, reason="Case 12", until=BOUGHT + 90 * DAY, at=BOUGHT, by=Actor.staff(lead))
    cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    assert agree_due(stripe.now) == 1
    stripe.advance(FIRST_END + HOUR)
    assert settle_due(stripe.now) == 1
    assert (held["status"], paid(stripe)) == ("canceled", 9800)


def test_of_two_accounts_of_one_person_the_other_goes_on(world: World, held: Json, stripe: FakeStripe) -> None:
    owner = world.account.owner()
    assert owner is not None
    second: Account = AccountFactory(owner=owner)
    customer = stripe.customer()
    StripeCustomer.objects.create(account=second, reference=customer["id"], livemode=False)
    other = stripe.subscribe(customer, world.price)
    world.hear()
    cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    assert agree_due(stripe.now) == 1
    assert (held["cancel_at_period_end"], other["cancel_at_period_end"]) == (True, False)
    stripe.advance(FIRST_END + 2 * HOUR)
    world.hear()
    assert Subscription.objects.live(stripe.now).get().account == second


@pytest.mark.usefixtures("redis_is_away")
def test_without_redis_a_cancellation_reaches_stripe_and_what_stripe_says_is_taken_over(
    world: World, held: Json, stripe: FakeStripe, sign_in: Callable[[User | None], Client]
) -> None:
    page = "/user/subscription/cancellation/"
    with time_machine.travel(stripe.now, tick=False):
        browser = sign_in(world.account.owner())
        (form,) = [form for form in forms_on(browser.get(page).content.decode(), page) if form.action == page]
        assert browser.post(page, form.sent()).status_code == 302
    assert agree_due(stripe.now) == 1
    assert held["cancel_at"] == FIRST_END.timestamp()
    stripe.portal_keep(held["id"])
    world.hear()
    assert world.subscription.ends_at is None


def test_a_refund_ends_it_there_once_it_is_accepted_and_pays_back_once(
    world: World, held: Json, stripe: FakeStripe, agent: User, lead: User
) -> None:
    at = stripe.now + DAY
    intent = next(iter(stripe.payment_intents))["id"]
    refund, _new = decisions.propose(
        world.subscription,
        cents=9800,
        currency="USD",
        ends=Ends.NOW,
        payment_reference=intent,
        by=Actor.staff(agent),
        at=at,
    )
    assert decisions.approve(refund, by=Actor.staff(lead), at=at)
    # Cancelled by the owner meanwhile: the refund's end is the earlier one, and stands.
    cancel(world.subscription, by=owner_of(world.subscription), at=at)
    carry_out_due(at + MINUTE)
    wish = Wish.objects.get()
    assert (wish.cause, wish.at_once) == (Cause.REFUND, True)
    assert agree_due(at + MINUTE) == 1
    carry_out_due(at + HOUR)
    assert (held["status"], paid(stripe), len(list(stripe.refunds))) == ("canceled", 0, 1)
    assert world.subscription.is_over(at + MINUTE)


def test_a_deletion_from_approval_to_stripe_and_the_erasing(
    world: World, held: Json, stripe: FakeStripe, agent: User, lead: User
) -> None:
    account, at = world.account, stripe.now
    owner = account.owner()
    assert owner is not None
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=at)
    deletion.propose(asked, by=Actor.staff(agent), at=at, override="They know.")
    due = deletion.approve(asked, by=Actor.staff(lead), at=at).due_at
    # The renewal is stopped at once; what was paid for goes on, so that calling it off gives it back.
    assert agree_due(at) == 1
    assert (held["status"], held["cancel_at"]) == ("active", FIRST_END.timestamp())
    stripe.advance(due + HOUR)
    for turn in range(6):
        now = stripe.now + turn * HOUR
        world.hear()
        settle_due(now)
        take_turn(Purge.objects.get(), now)
        agree_due(now)
        forget_due(now)
    assert (held["status"], paid(stripe)) == ("canceled", 9800)
    assert Purge.objects.get().finished_at is not None
    assert not Account.objects.filter(pk=account.pk).exists()
    stripe.advance(days=60)
    assert paid(stripe) == 9800


def test_a_deletion_that_is_called_off_before_the_end_gives_back_what_was_paid(
    world: World, held: Json, stripe: FakeStripe, agent: User, lead: User
) -> None:
    account, at = world.account, stripe.now
    owner = account.owner()
    assert owner is not None
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=at)
    deletion.propose(asked, by=Actor.staff(agent), at=at, override="They know.")
    deletion.approve(asked, by=Actor.staff(lead), at=at)
    agree_due(at)
    stripe.advance(days=2)
    assert deletion.call_off(account, by=Actor.owner(owner), at=stripe.now)
    agree_due(stripe.now)
    world.hear()
    assert (held["cancel_at"], world.subscription.ends_at) == (None, None)


def test_a_worker_killed_between_stripes_answer_and_taking_it_over_leaves_a_customer_who_is_asked_again(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.portal_cancel(held["id"])
    StripeCustomer.objects.all().ask(stripe.now)
    dead: Any = claim(StripeCustomer.objects.due, stripe.now)
    dead.stamped(stripe.now)
    # It has read, and is gone. Until its lease is over nobody else asks; what is heard meanwhile is not waited for.
    assert checks.check_due(stripe.now + MINUTE) == 0
    later = stripe.now + StripeCustomer.LEASE + MINUTE
    assert checks.check_due(later) == 1
    assert world.subscription.ends_at == FIRST_END
    assert StripeCustomer.objects.get().check_at is None
    # Were it only slow, its older answer would no longer count.
    assert not checks.take_over_customer(dead.pk, [], [], sent_at=dead.asked_at or BOUGHT, at=later)
