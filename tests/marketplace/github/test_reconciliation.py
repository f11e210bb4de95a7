"""A complete walk finds what was lost, and an incomplete one changes nothing."""

from datetime import timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.checks.breaker import BreakerOpen
from accounts.checks.schedule import SETTLING_TIME
from accounts.core import clock
from accounts.customers.entitlements import entitlements_of
from accounts.jobs.invariants import violations
from marketplace.github import client, reconciliation
from marketplace.github.customer import GitHubCustomer
from marketplace.models import ListingPlan, Offboarding
from subscriptions.models import Subscription
from tests.factories import subscribe
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
    assert GitHubCustomer.objects.get(github_id=buyer.id).absent_since == world.now
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
    assert GitHubCustomer.objects.get(github_id=buyer.id).absent_since is None


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
    customer = GitHubCustomer.objects.get()
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
    assert GitHubCustomer.objects.count() == 131


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
    with pytest.raises(client.GitHubError):
        world.run("github-reconcile")
    assert not GitHubCustomer.objects.filter(github_id=new.id).exists()
    assert GitHubCustomer.objects.get(github_id=kept.id).absent_since is None


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
    assert not GitHubCustomer.objects.exclude(absent_since=None).exists()


# One that fails holds up no other


def test_a_plan_that_github_does_not_know_holds_up_no_other(world: World, pro: Plan) -> None:
    """Its customers are neither missing nor believed in: they are asked about one by one."""
    on_it, *_others = buyers(world, pro, 4)
    world.github.cancel(on_it)  # lost
    team = world.github.listing_plan(name="Team", monthly=1900)
    new = world.github.account(login="new")
    world.github.buy(new, team)  # lost, too
    world.github.fail(f"GET /marketplace_listing/plans/{pro.id}/accounts", status=404, times=99)
    world.run("github-reconcile")
    assert entitlements_of(world.account_of(new), world.now).plan == "pro"
    assert GitHubCustomer.objects.filter(check_at=world.now, absent_since=None).count() == 4
    confirm_twice(world)
    assert [row.github_id for row in GitHubCustomer.objects.exclude(cancelled_at=None)] == [on_it.id]


def test_if_github_knows_none_of_the_plans_that_it_lists_nothing_is_changed(world: World, pro: Plan) -> None:
    buyers(world, pro, 4)
    world.github.fail("GET /marketplace_listing/plans/*/accounts", status=404, times=99)
    with pytest.raises(client.GitHubError, match="says of each that there is none"):
        world.run("github-reconcile")
    assert not GitHubCustomer.objects.filter(check_at__isnull=False).exists()


def refuse(statement: str) -> None:
    """Have the database refuse something, as it would for a fault of ours."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)


def test_what_the_database_refuses_for_one_is_noted_on_it_and_the_others_go_on(world: World, pro: Plan) -> None:
    poison, fine, gone = buyers(world, pro, 3)
    for buyer in (poison, fine):
        world.github.change(buyer, unit_count=66 if buyer is poison else 7)  # lost
    world.github.cancel(gone)  # lost, too
    refuse("ALTER TABLE marketplace_customer ADD CONSTRAINT never_66 CHECK (seats <> 66)")
    world.run("github-reconcile")
    failed = GitHubCustomer.objects.get(github_id=poison.id)
    assert (failed.seats, failed.check_attempts, failed.check_error != "") == (1, 1, True)
    assert failed.check_at == world.now + timedelta(minutes=1)
    assert GitHubCustomer.objects.get(github_id=fine.id).seats == 7
    assert GitHubCustomer.objects.get(github_id=gone.id).check_at == world.now
    world.passes(timedelta(hours=3))
    world.run("github-check")
    assert "github-check" in {found.name for found in violations(world.now)}


def test_what_the_database_refuses_for_a_new_buyer_is_said_in_the_end(world: World, pro: Plan) -> None:
    (known,) = buyers(world, pro, 1)
    poison, fine = (world.github.account(login=name) for name in ("poison", "fine"))
    world.github.buy(poison, pro, unit_count=66)
    world.github.buy(fine, pro)
    world.github.change(known, unit_count=5)
    refuse("ALTER TABLE marketplace_customer ADD CONSTRAINT never_66 CHECK (seats <> 66)")
    with pytest.raises(reconciliation.NotTakenOver, match="1 purchases of unknown buyers"):
        world.run("github-reconcile")
    assert set(GitHubCustomer.objects.values_list("login", "seats")) == {("buyer-0", 5), ("fine", 1)}


def test_a_double_purchase_among_many_stops_nobody(world: World, pro: Plan) -> None:
    twice, *_others = buyers(world, pro, 5)
    world.hears(world.github.cancel(twice))
    world.run("github-check")
    world.passes(DAY)
    subscribe(world.account_of(twice), at=world.now)
    world.github.buy(twice, pro, unit_count=2)
    lost = world.github.account(login="lost")
    world.github.buy(lost, pro)
    world.run("github-reconcile")
    assert GitHubCustomer.objects.get(github_id=twice.id).conflict_since == world.now
    assert GitHubCustomer.objects.filter(github_id=lost.id).exists()


def test_a_purchase_delivered_while_the_walk_runs_is_in_nobodys_way(world: World, pro: Plan) -> None:
    """The walk carries out what it read as of its beginning; the purchase began later."""
    began = world.now
    buyer = world.github.account(login="harbour")
    bought = world.github.buy(buyer, pro)
    answers = reconciliation.walk(began).answers
    world.passes(timedelta(seconds=20))
    world.hears(bought)
    assert reconciliation._apply(answers, began, clock.now() + timedelta(minutes=1)) == []
    assert GitHubCustomer.objects.get().check_error == ""
    assert Subscription.objects.count() == 1


def test_a_run_ends_in_time_and_the_rest_is_asked_about(world: World, pro: Plan) -> None:
    for buyer in buyers(world, pro, 3):
        world.github.change(buyer, unit_count=9)
    answers = reconciliation.walk(world.now).answers
    assert reconciliation._apply(answers, world.now, clock.now()) == []
    assert GitHubCustomer.objects.filter(seats=1, check_at=world.now).count() == 3
