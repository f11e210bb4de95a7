"""What contradicts what GitHub last said asks GitHub first: late, captured, doubtful and ambiguous messages."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from pytest_django import Settings

from accounts.checks.schedule import SETTLING_TIME
from accounts.customers.entitlements import entitlements_of
from accounts.jobs.invariants import warnings
from accounts.models import Account, Delivery, Membership, Notice, Purge, Role, User
from marketplace.github.customer import GitHubCustomer
from marketplace.github.messages import DOUBTED_FOR
from marketplace.models import Offboarding
from subscriptions.models import Channel, Subscription
from tests.factories import NOW, subscribe
from tests.fakes.github import Account as Buyer
from tests.fakes.github import Delivery as Message
from tests.fakes.github import Plan
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MONTH = timedelta(days=30)


@pytest.fixture
def pro(world: World) -> Plan:
    return world.github.listing_plan(name="Pro", monthly=900)


@pytest.fixture
def buyer(world: World, pro: Plan, owner: User) -> Buyer:
    found = world.github.account(login="harbour")
    world.hears(world.github.buy(found, pro))
    Membership.objects.create(account=world.account_of(found), user=owner, role=Role.OWNER)
    settle(world)
    world.passes(10 * DAY)
    return found


def settle(world: World) -> None:
    """GitHub is asked, and asked again when an answer can't be stale any more."""
    for _look in range(3):
        world.run("github-check")
        world.passes(SETTLING_TIME)


def outcome(delivery: Message) -> str:
    return Delivery.objects.get(delivery_id=delivery.guid).outcome


def dated(world: World, delivery: Message, day: datetime) -> Message:
    """The same message with another effective date, signed anew."""
    midnight = datetime.combine(day.date(), time(), UTC).isoformat()
    return delivery.altered(lambda payload: payload.update(effective_date=midnight), secret=world.github.webhook_secret)


# A purchase that contradicts a cancellation


@pytest.mark.parametrize("days_dated_back", [4, 3, 0])
def test_a_purchase_that_github_does_not_know_revives_nobody_and_moves_no_deadline(
    world: World, buyer: Buyer, pro: Plan, days_dated_back: int
) -> None:
    """New to us, replayed four days after the cancellation; dated then, the day after, or today."""
    world.hears(world.github.cancel(buyer))
    account, deadline_at = world.account_of(buyer), world.now + MONTH
    settle(world)
    world.passes(4 * DAY - 3 * SETTLING_TIME)
    captured = world.github.buy(buyer, pro, unit_count=3)
    world.github.cancel(buyer)  # GitHub says 404; neither was delivered
    captured = dated(world, captured, world.now - days_dated_back * DAY)
    world.hears(captured)
    assert outcome(captured) == "asked"
    settle(world)
    account.refresh_from_db()
    assert account.deactivated_at is not None
    assert [row.deadline_at for row in Offboarding.objects.all()] == [deadline_at]
    assert Purge.objects.open().get().deadline_at == deadline_at
    assert Notice.objects.filter(kind="marketplace/github_offboard").count() == 1


def test_captured_bodies_sent_again_and_again_postpone_nothing(world: World, buyer: Buyer, pro: Plan) -> None:
    captured = [world.github.change(buyer, unit_count=seats) for seats in (2, 3)]
    world.hears(*captured)
    settle(world)
    world.passes(DAY)
    world.github.cancel(buyer)  # lost
    world.run("github-reconcile")
    for number in range(30):
        world.hears(replace(captured[number % 2], guid=f"again-{number}"))
        world.run("github-check")
        world.passes(5 * MINUTE)
    assert GitHubCustomer.objects.get().cancelled_at is not None
    deadline_at = Offboarding.objects.get().deadline_at
    world.passes(5 * DAY)
    world.hears(replace(captured[0], guid="once more"))
    settle(world)
    assert Offboarding.objects.get().deadline_at == deadline_at


def test_a_new_purchase_takes_effect_with_githubs_answer_and_the_owner_is_told(
    world: World, buyer: Buyer, pro: Plan, owner: User
) -> None:
    world.hears(world.github.cancel(buyer))
    settle(world)
    world.passes(DAY)
    bought = world.github.buy(buyer, pro, unit_count=2)
    world.hears(bought)
    account = world.account_of(buyer)
    assert (outcome(bought), account.deactivated_at is None) == ("asked", False)
    world.run("github-check")
    account.refresh_from_db()
    assert account.deactivated_at is None
    assert GitHubCustomer.objects.get().bought_again_on == world.now.date()
    assert Notice.objects.get(kind="marketplace/account_back").recipient == owner


def test_a_purge_waits_for_githubs_answer_about_a_new_purchase_but_not_beyond_its_deadline(
    world: World, buyer: Buyer, pro: Plan
) -> None:
    world.hears(world.github.cancel(buyer))
    settle(world)
    deadline_at = Offboarding.objects.get().deadline_at
    world.now = deadline_at - timedelta(hours=11)
    world.github.now = world.now
    world.hears(world.github.buy(buyer, pro, unit_count=2))
    world.github.fail("* /marketplace_listing/*", status=502, times=99)
    world.run("github-check", "purge")
    waiting = Purge.objects.get()
    assert (waiting.started_at, waiting.waiting_for) == (None, "GitHub's answer: the customer may have bought again")
    world.now = deadline_at - timedelta(hours=1)
    world.run("purge")
    assert not Account.objects.exists()


def test_without_credentials_a_newer_purchase_is_believed(
    world: World, buyer: Buyer, pro: Plan, settings: Settings
) -> None:
    settings.GITHUB_CLIENT_ID = ""
    world.hears(world.github.cancel(buyer))
    world.passes(DAY)
    world.hears(world.github.buy(buyer, pro, unit_count=2))
    assert world.account_of(buyer).deactivated_at is None


def test_a_late_first_purchase_does_not_undo_a_change_of_the_same_day(world: World, pro: Plan) -> None:
    buyer = world.github.account(login="harbour")
    late = world.github.buy(buyer, pro)
    world.hears(world.github.change(buyer, unit_count=7))
    world.hears(late)
    assert (outcome(late), GitHubCustomer.objects.get().seats) == ("stale", 7)


# A cancellation that contradicts a purchase


def bought_again_today(world: World, buyer: Buyer, pro: Plan) -> Message:
    """Cancelled and bought again on one day; the purchase is heard first. Returns the cancellation, still to come."""
    late = world.github.cancel(buyer)
    world.hears(world.github.buy(buyer, pro, unit_count=2))
    settle(world)
    return late


def test_a_cancellation_of_the_day_of_a_new_purchase_asks_github_and_mails_nobody(
    world: World, buyer: Buyer, pro: Plan
) -> None:
    late = bought_again_today(world, buyer, pro)
    world.hears(late)
    assert outcome(late) == "asked"
    assert GitHubCustomer.objects.get().doubt == "same_day"
    for _look in range(9):
        world.run("github-check")
        world.passes(SETTLING_TIME)
    customer = GitHubCustomer.objects.get()
    assert (customer.doubt, customer.cancelled_at, customer.account.deactivated_at) == ("", None, None)
    assert not Notice.objects.filter(kind="marketplace/github_offboard").exists()


def test_if_github_agrees_it_counts_from_its_receipt(world: World, buyer: Buyer, pro: Plan) -> None:
    late = bought_again_today(world, buyer, pro)
    world.hears(late)
    received_at = world.now
    world.github.cancel(buyer)
    world.passes(MINUTE)
    world.run("github-check")
    assert world.account_of(buyer).deactivated_at == world.now
    assert Offboarding.objects.get().deadline_at == received_at + MONTH


@pytest.mark.parametrize("configured", [True, False])
def test_if_github_is_silent_it_counts_after_an_hour(
    world: World, buyer: Buyer, pro: Plan, settings: Settings, configured: bool
) -> None:
    late = bought_again_today(world, buyer, pro)
    world.hears(late)
    received_at = world.now
    world.github.fail("* /marketplace_listing/*", status=502, times=999)
    if not configured:
        settings.GITHUB_CLIENT_ID = ""
    world.passes(DOUBTED_FOR - MINUTE)
    world.run("github-check")
    assert GitHubCustomer.objects.get().cancelled_at is None
    world.passes(timedelta(hours=1))
    world.run("github-check")
    assert GitHubCustomer.objects.get().cancelled_at == world.now
    assert Offboarding.objects.get().deadline_at == received_at + MONTH


def test_a_cancellation_dated_ahead_waits_for_its_day_with_an_alarm(world: World, buyer: Buyer) -> None:
    purchase = world.github.purchase_of(buyer)
    assert purchase
    ahead = dated(world, world.github.schedule_change(buyer, None), world.now + 5 * DAY)
    ahead = ahead.altered(lambda payload: payload.update(action="cancelled"), secret=world.github.webhook_secret)
    world.hears(ahead)
    day = datetime.combine((world.now + 5 * DAY).date(), time(), UTC)
    assert "dated ahead" in Delivery.objects.get(delivery_id=ahead.guid).alert
    assert "delivery-alert" in {found.name for found in warnings(world.now)}
    settle(world)
    account = world.account_of(buyer)
    assert (account.deactivated_at, GitHubCustomer.objects.get().check_at) == (None, day)
    world.now = world.github.now = day
    world.github.cancel(buyer)
    world.run("github-check")
    account.refresh_from_db()
    assert account.deactivated_at == day
    assert Offboarding.objects.get().received_at == day


def test_a_cancellation_dated_ahead_counts_at_once_if_github_says_that_it_is_over(world: World, buyer: Buyer) -> None:
    ahead = dated(world, world.github.cancel(buyer), world.now + 5 * DAY)
    world.hears(ahead)
    received_at = world.now
    world.passes(MINUTE)
    world.run("github-check")
    assert world.account_of(buyer).deactivated_at == world.now
    assert Offboarding.objects.get().received_at == received_at


def test_a_cancellation_needs_no_plan(world: World, buyer: Buyer) -> None:
    gone = world.github.cancel(buyer).altered(
        lambda payload: payload["marketplace_purchase"].pop("plan"), secret=world.github.webhook_secret
    )
    world.hears(gone)
    assert outcome(gone) == "applied"
    assert world.account_of(buyer).deactivated_at == world.now


def test_a_change_without_a_plan_is_left_to_github_and_shown(world: World, buyer: Buyer) -> None:
    odd = world.github.change(buyer, unit_count=4).altered(
        lambda payload: payload["marketplace_purchase"].pop("plan"), secret=world.github.webhook_secret
    )
    world.hears(odd)
    assert outcome(odd) == "asked"
    assert "plan.id" in Delivery.objects.get(delivery_id=odd.guid).alert
    world.run("github-check")
    assert GitHubCustomer.objects.get().seats == 4


# An answer that contradicts an event


@pytest.mark.parametrize("changes", [{"unit_count": 5}, {"billing_cycle": "yearly"}])
def test_one_stale_answer_undoes_no_change(world: World, buyer: Buyer, changes: dict[str, object]) -> None:
    world.hears(world.github.change(buyer, **changes))  # type: ignore[arg-type]
    said = Subscription.objects.values("seats", "interval").get()
    world.github.stale(buyer, reads=1)
    world.run("github-check")
    assert Subscription.objects.values("seats", "interval").get() == said
    world.passes(SETTLING_TIME)
    world.run("github-check")
    assert Subscription.objects.values("seats", "interval").get() == said


def test_one_stale_answer_brings_no_trial_back(world: World, pro: Plan) -> None:
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro, trial_ends=NOW + 14 * DAY))
    settle(world)
    world.passes(14 * DAY)
    world.hears(world.github.change(buyer, pro))
    world.github.stale(buyer, reads=1)
    world.run("github-check")
    assert GitHubCustomer.objects.get().trial_ends_on is None


# Double purchases


def test_a_double_purchase_is_noted_on_its_customer_and_sorted_out_by_itself(
    world: World, buyer: Buyer, pro: Plan
) -> None:
    account = world.account_of(buyer)
    world.hears(world.github.cancel(buyer))
    settle(world)
    direct = subscribe(account, at=world.now, ends_at=world.now + 5 * DAY)
    world.passes(DAY)
    bought = world.github.buy(buyer, pro, unit_count=2)
    world.hears(bought)
    world.run("github-check")
    assert GitHubCustomer.objects.get().conflict_since == world.now
    assert entitlements_of(account, world.now).plan == "pro"
    assert "double-purchase" in {found.name for found in warnings(world.now)}
    world.passes(5 * DAY)
    world.run("github-reconcile")
    customer = GitHubCustomer.objects.get()
    assert customer.conflict_since is None
    assert customer.subscription
    assert (customer.subscription.channel, customer.subscription != direct) == (Channel.GITHUB_MARKETPLACE, True)


# What is older than GitHub's last answer


def test_a_late_change_does_not_undo_what_github_has_answered_since(world: World, buyer: Buyer) -> None:
    late = world.github.change(buyer, unit_count=7)
    world.passes(DAY)
    world.github.change(buyer, unit_count=3)  # lost; found by the walk
    world.run("github-reconcile")
    world.passes(DAY)
    world.hears(late)
    assert (outcome(late), GitHubCustomer.objects.get().seats) == ("asked", 3)


def test_a_late_cancellation_of_a_purchase_before_ends_nothing(world: World, buyer: Buyer, pro: Plan) -> None:
    """Cancelled and bought again, both lost: GitHub has answered since that it holds."""
    late = world.github.cancel(buyer)
    world.github.buy(buyer, pro, unit_count=2)
    world.passes(DAY)
    world.run("github-reconcile")
    world.passes(DAY)
    world.hears(late)
    assert (outcome(late), GitHubCustomer.objects.get().doubt) == ("asked", "older")
    for _look in range(9):
        world.run("github-check")
        world.passes(SETTLING_TIME)
    assert world.account_of(buyer).deactivated_at is None
    assert not Notice.objects.filter(kind="marketplace/github_offboard").exists()


def test_a_late_cancellation_that_github_confirms_counts_from_its_receipt(world: World, buyer: Buyer) -> None:
    """GitHub delivered it on the next day, and had answered from before in between."""
    world.run("github-reconcile")
    late = dated(world, world.github.cancel(buyer), world.now - DAY)
    world.hears(late)
    received_at = world.now
    world.passes(MINUTE)
    world.run("github-check")
    assert world.account_of(buyer).deactivated_at == world.now
    assert Offboarding.objects.get().deadline_at == received_at + MONTH
