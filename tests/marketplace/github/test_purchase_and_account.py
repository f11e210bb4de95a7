"""What happens to a purchase at GitHub touches what it began, and nothing else (design, idea 12)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client

from accounts.checks.schedule import SETTLING_TIME
from accounts.customers.entitlements import entitlements_of
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named, rehearse
from accounts.erasure import starting
from accounts.erasure.purge import Purge
from accounts.mail.sending import write
from accounts.models import Account, Event, Membership, Notice, RequestKind, Role, User
from accounts.support import deletion
from accounts.support.requests import ask
from marketplace.github.customer import GitHubCustomer
from marketplace.github.settings_note import note_for
from marketplace.models import Offboarding
from subscriptions import billing_record, contracts
from subscriptions.changes import call_off, end_now
from subscriptions.current_plan import standing_of
from subscriptions.desk import figures
from subscriptions.ending import account_deletion
from subscriptions.models import Channel, Plan, Subscription
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, subscribe
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
    assert GitHubCustomer.objects.get().cancelled_at is not None
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
    assert GitHubCustomer.objects.get().seats == 7
    world.passes(DAY)
    world.hears(world.github.cancel(buyer))
    world.passes(DAY)
    world.hears(world.github.buy(buyer, world.github.listing_plan(name="Pro 2", monthly=900)))
    world.run("github-check")
    live = Subscription.objects.of(account).live(world.now).get()
    assert (live.channel, GitHubCustomer.objects.get().subscription) == (Channel.GITHUB_MARKETPLACE, live)


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


# Contracts ahead


@pytest.mark.parametrize("ahead", [0 * DAY, 35 * DAY])
def test_a_contract_for_an_account_about_to_be_erased_calls_that_off(
    world: World, buyer: Buyer, lead: User, owner: User, ahead: timedelta
) -> None:
    """Beginning now, or after the day of the erasing: the account is active, and nothing is erased."""
    account = world.account_of(buyer)
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    world.hears(world.github.cancel(buyer))
    world.passes(DAY / 2)
    contract = enter_contract(account, lead, world.now, world.now + ahead)
    account.refresh_from_db()
    assert (account.deactivated_at, account.returnable_until) == (None, None)
    assert not Purge.objects.open().exists()
    assert Offboarding.objects.get().called_off_because == "subscribed"
    assert Notice.objects.get(kind="marketplace/account_back").recipient == owner
    world.passes(31 * DAY)
    world.run("purge", "offboard", "github-reconcile", "github-check")
    assert entitlements_of(account, contract.started_at).plan == "enterprise"


def test_staff_see_before_they_enter_it_that_a_contract_calls_the_erasing_off(
    world: World, buyer: Buyer, lead: User
) -> None:
    account = world.account_of(buyer)
    world.hears(world.github.cancel(buyer))
    values = {
        "plan": Plan.objects.get(code="pro"),
        "starts_at": world.now + 35 * DAY,
        "ends_at": world.now + YEAR,
        "seats": 1,
        "order_reference": "SO-2",
        "price": None,
        "reason": "They signed",
    }
    shown = rehearse(act_named("enter_contract"), account, values, by=Actor.staff(lead), at=world.now)
    assert "The customer is back: nothing is deleted" in shown.story
    account.refresh_from_db()
    assert account.deactivated_at is not None


def test_a_contract_is_refused_while_the_owners_own_deletion_stands(
    account: Account, owner: User, agent: User, lead: User
) -> None:
    request, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    deletion.propose(request, by=Actor.staff(agent), at=NOW)
    deletion.approve(request, by=Actor.staff(lead), at=NOW)
    with pytest.raises(contracts.ToBeErased, match="Call the deletion off first"):
        enter_contract(account, lead, NOW, NOW + 35 * DAY)
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("channel", [Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE])
def test_what_a_marketplace_will_bill_is_an_obstacle_to_a_deletion(account: Account, channel: Channel) -> None:
    subscribe(account, at=NOW, starts_at=NOW + 3 * DAY, channel=channel)
    assert "Please cancel" in str(deletion.obstacle_to(account, NOW))


def test_nothing_is_erased_before_a_subscription_that_is_to_begin(account: Account) -> None:
    subscribe(account, at=NOW, starts_at=NOW + 3 * DAY)
    row = oblige(account)
    assert not starting.start(row, at=NOW)
    assert Purge.objects.get().waiting_for == "a subscription that is to begin (pro)"


def test_an_erasing_calls_off_what_is_to_begin(account: Account) -> None:
    ahead = subscribe(account, at=NOW, starts_at=NOW + 3 * DAY)
    account_deletion.end_with_the_account(account.pk, NOW)
    ahead.refresh_from_db()
    assert ahead.started_at == ahead.ends_at == ahead.settled_at == NOW


def test_what_was_called_off_before_it_began_counts_nowhere(account: Account) -> None:
    past = subscribe(account, at=NOW - 9 * DAY, ends_at=NOW - 8 * DAY)
    ahead = subscribe(account, at=NOW - DAY, starts_at=NOW + DAY)
    assert call_off(ahead, at=NOW, by=Actor.system())
    later = NOW + DAY
    found = standing_of(account, later)
    assert (found.subscription, found.last, found.upcoming) == (None, past, None)
    assert entitlements_of(account, later).since == past.ends_at
    assert [row.pk for row in figures.ending(NOW - 30 * DAY, later)] == [past.pk]
    assert billing_record.keep(account.pk, later) == 1


def test_who_is_told_that_it_ended_here_is_told_that_github_goes_on_charging(
    world: World, buyer: Buyer, lead: User, owner: User, sign_in: Callable[[User | None], Client]
) -> None:
    Membership.objects.create(account=world.account_of(buyer), user=owner, role=Role.OWNER)
    subscription = Subscription.objects.get()
    answer = sign_in(lead).post(
        f"/admin/act/end_now/{subscription.pk}/", {"reason": "They asked", "confirmed": "yes"}, follow=True
    )
    assert "GitHub Marketplace goes on charging until it is cancelled there" in answer.content.decode()
    mail = write(Notice.objects.get(kind="subscriptions/subscription_ended"))
    assert "GitHub Marketplace goes on charging until you cancel the plan there." in str(mail.body)
    assert "nothing more is charged" not in str(mail.body)


def test_the_page_promises_no_deactivation_where_a_contract_goes_on(world: World, buyer: Buyer, lead: User) -> None:
    account = world.account_of(buyer)
    note = note_for(account, world.now)
    assert note
    assert not note.about.goes_on
    Subscription.objects.update(ends_at=world.now + 5 * DAY)
    enter_contract(account, lead, world.now, world.now + 5 * DAY)
    note = note_for(account, world.now)
    assert note
    assert note.about.goes_on
