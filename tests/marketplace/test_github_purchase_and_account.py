"""What happens to a purchase at GitHub touches what it began, and nothing else (design, idea 12)."""

from datetime import datetime, timedelta

import pytest

from accounts.check_schedule import SETTLING_TIME
from accounts.entitlements import entitlements_of
from accounts.history import Actor
from accounts.models import Account, Event, Notice, User
from accounts.purge import Purge
from marketplace.github.customer import Customer
from marketplace.models import Offboarding
from subscriptions import contracts
from subscriptions.changing import end_now
from subscriptions.models import Channel, Plan, Subscription
from tests.factories import NOW
from tests.fakes.github import Account as Buyer
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)


@pytest.fixture
def buyer(world: World) -> Buyer:
    """A customer since `NOW`, confirmed, ten days later."""
    found = world.github.account(login="harbour")
    world.hears(world.github.buy(found, world.github.listing_plan(name="Pro", monthly=900)))
    for _look in range(2):
        world.run("github-check")
        world.passes(SETTLING_TIME)
    world.passes(10 * DAY)
    return found


def enter_contract(account: Account, lead: User, at: datetime, starts_at: datetime | None = None) -> Subscription:
    starts_at = starts_at or at
    contract, new = contracts.enter(
        account,
        plan=Plan.objects.get(code="enterprise"),
        starts_at=starts_at,
        ends_at=starts_at + YEAR,
        seats=5,
        order_reference="SO-1",
        by=Actor.staff(lead),
        at=at,
    )
    assert new
    return contract


def moved_to_a_contract(world: World, account: Account, lead: User) -> Subscription:
    """A lead ends what GitHub bills and enters a contract instead."""
    end_now(Subscription.objects.get(), by=Actor.staff(lead), at=world.now)
    return enter_contract(account, lead, world.now)


def test_a_contract_entered_meanwhile_survives_the_cancellation_of_the_purchase(
    world: World, buyer: Buyer, lead: User
) -> None:
    account = world.account_of(buyer)
    contract = moved_to_a_contract(world, account, lead)
    world.passes(3 * DAY)
    world.hears(world.github.cancel(buyer))
    contract.refresh_from_db()
    account.refresh_from_db()
    assert (contract.ends_at, contract.settled_at, account.deactivated_at) == (
        NOW + 10 * DAY + YEAR + 2 * SETTLING_TIME,
        None,
        None,
    )
    assert entitlements_of(account, world.now).plan == "enterprise"
    assert not Offboarding.objects.exists()
    assert not Purge.objects.exists()
    assert Event.objects.filter(kind="github.left").count() == 1


def test_a_contract_survives_a_cancellation_that_was_lost(world: World, buyer: Buyer, lead: User) -> None:
    account = world.account_of(buyer)
    contract = moved_to_a_contract(world, account, lead)
    world.github.cancel(buyer)  # never delivered
    world.run("github-reconcile")
    for _time in range(3):
        world.run("github-check")
        world.passes(SETTLING_TIME)
    contract.refresh_from_db()
    account.refresh_from_db()
    assert Customer.objects.get().cancelled_at is not None
    assert (contract.settled_at, account.deactivated_at) == (None, None)
    assert not Offboarding.objects.exists()


def test_a_contract_ahead_keeps_the_account_when_the_purchase_is_cancelled(
    world: World, buyer: Buyer, lead: User
) -> None:
    """On Free in between, and its owner told so; nothing is deactivated or erased."""
    account = world.account_of(buyer)
    purchase = Subscription.objects.get()
    Subscription.objects.update(ends_at=world.now + 5 * DAY)
    contract = enter_contract(account, lead, world.now, world.now + 5 * DAY)
    world.hears(world.github.cancel(buyer))
    purchase.refresh_from_db()
    account.refresh_from_db()
    assert (purchase.ends_at, purchase.settled_at, account.deactivated_at) == (world.now, world.now, None)
    assert entitlements_of(account, world.now).plan == "free"
    assert entitlements_of(account, contract.started_at).plan == "enterprise"
    assert not Purge.objects.exists()


def test_what_a_lead_ended_is_not_started_again_by_github_until_they_buy_again(
    world: World, buyer: Buyer, lead: User
) -> None:
    account = world.account_of(buyer)
    end_now(Subscription.objects.get(), by=Actor.staff(lead), at=world.now)
    for _time in range(3):
        world.passes(DAY)
        world.run("github-reconcile", "github-check")
    world.hears(world.github.change(buyer, unit_count=7))
    assert entitlements_of(account, world.now).plan == "free"
    assert Subscription.objects.count() == 1
    assert Customer.objects.get().seats == 7
    world.passes(DAY)
    world.hears(world.github.cancel(buyer))
    world.passes(DAY)
    world.hears(world.github.buy(buyer, world.github.listing_plan(name="Pro 2", monthly=900)))
    world.run("github-check")
    live = Subscription.objects.of(account).live(world.now).get()
    assert (live.channel, Customer.objects.get().subscription) == (Channel.GITHUB_MARKETPLACE, live)


def test_a_cancellation_of_what_a_lead_ended_offboards_the_account_if_nothing_else_holds_it(
    world: World, buyer: Buyer, lead: User
) -> None:
    account = world.account_of(buyer)
    end_now(Subscription.objects.get(), by=Actor.staff(lead), at=world.now)
    world.passes(DAY)
    world.hears(world.github.cancel(buyer))
    account.refresh_from_db()
    assert account.deactivated_at == world.now
    assert Offboarding.objects.get().deadline_at == world.now + 30 * DAY
    assert Notice.objects.filter(kind="marketplace/github_offboard").count() <= 1
