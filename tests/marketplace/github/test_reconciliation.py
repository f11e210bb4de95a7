"""A complete walk finds what was lost, and an incomplete one changes nothing."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from accounts.checks.breaker import BreakerOpen
from accounts.checks.schedule import SETTLING_TIME
from accounts.customers.entitlements import entitlements_of
from marketplace.github import client, reconciliation
from marketplace.github.customer import Customer
from marketplace.models import ListingPlan, Offboarding
from tests.fakes.github import Account as Buyer
from tests.fakes.github import Plan
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def pro(world: World) -> Plan:
    return world.github.listing_plan(name="Pro", monthly=900)


def buyers(world: World, plan: Plan, count: int) -> list[Buyer]:
    """Customers whose purchases we heard of days ago, and have confirmed."""
    found = [world.github.account(login=f"buyer-{number}") for number in range(count)]
    world.hears(*[world.github.buy(buyer, plan) for buyer in found])
    for _look in range(2):
        world.run("github-check")
        world.passes(DAY)
    return found


def confirm_twice(world: World) -> None:
    for _time in range(3):
        world.run("github-check")
        world.passes(SETTLING_TIME)


def test_a_lost_cancellation_is_found_and_confirmed_twice_apart(world: World, pro: Plan) -> None:
    buyer, *_others = buyers(world, pro, 3)
    world.github.cancel(buyer)  # never delivered
    world.run("github-reconcile")
    assert not Offboarding.objects.exists()
    world.run("github-check")
    assert Customer.objects.get(github_id=buyer.id).absent_since == world.now
    assert not Offboarding.objects.exists()
    world.passes(SETTLING_TIME)
    world.run("github-check")
    offboarding = Offboarding.objects.get()
    assert (offboarding.cause, offboarding.received_at) == ("absent", world.now)
    assert world.account_of(buyer).deactivated_at == world.now


def test_one_missing_answer_alone_ends_nothing(world: World, pro: Plan) -> None:
    buyer, *_others = buyers(world, pro, 3)
    world.github.fail(f"GET /marketplace_listing/accounts/{buyer.id}", status=404)
    world.github.fail("GET /marketplace_listing/plans/*/accounts", empty=True)
    world.run("github-reconcile")
    confirm_twice(world)
    assert not Offboarding.objects.exists()
    assert Customer.objects.get(github_id=buyer.id).absent_since is None


def test_a_lost_purchase_is_found(world: World, pro: Plan) -> None:
    buyer = world.github.account(login="harbour")
    world.github.buy(buyer, pro)  # never delivered
    world.run("github-reconcile")
    assert entitlements_of(world.account_of(buyer), world.now).plan == "pro"


def test_logins_dates_and_plan_numbers_are_refreshed(world: World, pro: Plan) -> None:
    (buyer,) = buyers(world, pro, 1)
    world.github.rename(buyer, "lighthouse")
    world.passes(40 * DAY)
    world.github.renew(buyer)  # renewals send nothing
    world.run("github-reconcile")
    customer = Customer.objects.get()
    assert customer.login == "lighthouse"
    assert customer.next_billing_on is not None
    assert customer.next_billing_on > (world.now - DAY).date()
    assert ListingPlan.objects.get(pk=pro.id).number == pro.number


def test_a_walk_goes_over_all_plans_and_pages(world: World, pro: Plan) -> None:
    other = world.github.listing_plan(name="Team", monthly=1900)
    for number in range(130):
        world.github.buy(world.github.account(login=f"many-{number}"), pro)
    world.github.buy(world.github.account(login="one"), other)
    world.run("github-reconcile")
    assert Customer.objects.count() == 131


def test_a_customer_on_a_plan_that_left_the_listing_keeps_it(world: World, pro: Plan) -> None:
    (buyer,) = buyers(world, pro, 1)
    world.github.retire(pro)
    world.run("github-reconcile")
    confirm_twice(world)
    assert world.account_of(buyer).deactivated_at is None


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 401},
        {"status": 403},
        {"status": 404},
        {"garbled": True},
        {"body": [{"id": None}], "status": 200},
    ],
)
@pytest.mark.parametrize("page", ["GET /marketplace_listing/plans", "GET /marketplace_listing/plans/*/accounts"])
def test_a_page_that_fails_changes_nothing(world: World, pro: Plan, page: str, fault: dict[str, object]) -> None:
    kept, *_others = buyers(world, pro, 10)
    world.github.cancel(kept)
    new = world.github.account(login="new")
    world.github.buy(new, pro)
    world.github.fail(page, **fault)  # type: ignore[arg-type]
    with pytest.raises(client.ApiError):
        world.run("github-reconcile")
    assert not Customer.objects.filter(github_id=new.id).exists()
    assert Customer.objects.get(github_id=kept.id).absent_since is None


def test_a_breaker_stops_a_run_that_would_miss_too_many(world: World, pro: Plan) -> None:
    leaving = buyers(world, pro, 10)[:4]
    for buyer in leaving:
        world.github.cancel(buyer)
    with pytest.raises(BreakerOpen, match="4 of 10 customers are missing"):
        world.run("github-reconcile")
    confirm_twice(world)
    assert not Offboarding.objects.exists()


def test_without_credentials_nothing_is_asked(world: World, pro: Plan, settings: Settings) -> None:
    settings.GITHUB_CLIENT_ID = ""
    asked = world.github.count()
    world.run("github-reconcile", "github-check")
    assert world.github.count() == asked


def test_the_preview_changes_nothing(world: World, pro: Plan) -> None:
    buyer, *_others = buyers(world, pro, 3)
    world.github.cancel(buyer)
    lines = list(reconciliation.preview(world.now))
    assert lines == [f"{world.account_of(buyer).pk} buyer-0: missing from GitHub's list"]
    assert not Customer.objects.exclude(absent_since=None).exists()
