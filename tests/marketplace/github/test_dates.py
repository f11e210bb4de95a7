"""GitHub's dates are days: whoever reads them, wherever they are, sees the day that GitHub means."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client
from pytest_django import Settings

from accounts.mail.sending import write
from accounts.models import Membership, Notice, Purge, Role, User
from marketplace.github.customer import GitHubCustomer
from tests.fakes.github import Account as Buyer
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]


@pytest.fixture
def buyer(world: World, owner: User) -> Buyer:
    """A yearly customer, whose owner lives west of Greenwich."""
    User.objects.filter(pk=owner.pk).update(time_zone="America/Los_Angeles")
    found = world.github.account(login="harbour")
    team = world.github.listing_plan(name="Team", monthly=900)
    world.hears(world.github.buy(found, team, billing_cycle="yearly"))
    Membership.objects.create(account=world.account_of(found), user=owner, role=Role.OWNER)
    return found


def settings_page(sign_in: SignIn, owner: User, world: World) -> str:
    with time_machine.travel(world.now, tick=False):
        return sign_in(User.objects.get(pk=owner.pk)).get("/user/subscription/").content.decode()


def test_the_day_is_githubs_west_of_greenwich_too(world: World, buyer: Buyer, owner: User, sign_in: SignIn) -> None:
    purchase = world.github.purchase_of(buyer)
    assert purchase
    assert purchase.next_billing_date
    assert f"{purchase.next_billing_date:%Y-%m-%d}" == "2027-03-17"
    page = settings_page(sign_in, owner, world)
    assert "GitHub bills next on March 17, 2027." in page


def test_so_is_the_end_of_a_trial(world: World, buyer: Buyer, owner: User, sign_in: SignIn) -> None:
    GitHubCustomer.objects.update(trial_ends_on=date(2026, 3, 31))
    assert "free trial ends on March 31, 2026." in settings_page(sign_in, owner, world)


def test_a_scheduled_cancellation_reads_as_one(world: World, buyer: Buyer, owner: User, sign_in: SignIn) -> None:
    world.hears(world.github.schedule_change(buyer, None))
    assert "A change or cancellation at GitHub is pending for March 17, 2027." in settings_page(sign_in, owner, world)
    world.run("github-check")
    page = settings_page(sign_in, owner, world)
    assert "You have cancelled at GitHub, as of March 17, 2027." in page
    assert "to Team" not in page
    assert "GitHub bills next" not in page


def test_a_change_of_seats_is_not_a_change_to_the_plan_it_is_on(
    world: World, buyer: Buyer, owner: User, sign_in: SignIn
) -> None:
    purchase = world.github.purchase_of(buyer)
    assert purchase
    world.hears(world.github.schedule_change(buyer, purchase.plan, unit_count=2))
    world.run("github-check")
    page = settings_page(sign_in, owner, world)
    assert "to Team" not in page
    assert "is pending for March 17, 2027." in page


def test_a_change_of_plan_names_the_plan(world: World, buyer: Buyer, owner: User, sign_in: SignIn) -> None:
    world.hears(world.github.schedule_change(buyer, world.github.listing_plan(name="Solo", monthly=100)))
    world.run("github-check")
    assert "pending: to Solo on March 17, 2027." in settings_page(sign_in, owner, world)


@pytest.mark.parametrize("mode", ["offboard", "downgrade"])
def test_mail_and_page_say_one_date_until_which_they_can_come_back(
    world: World, buyer: Buyer, owner: User, sign_in: SignIn, settings: Settings, mode: str
) -> None:
    settings.GITHUB_CANCELLATION = mode
    world.hears(world.github.cancel(buyer))
    due_at = Purge.objects.get().due_at
    assert due_at == world.now + timedelta(days=30) - timedelta(hours=12)
    mail = write(Notice.objects.get(kind=f"marketplace/github_{mode}"))
    said = "Wednesday, April 15, 2026, 2:30\u202fPM (PDT)"
    assert f"deleted from {said} on" in str(mail.body)
    assert said in settings_page(sign_in, owner, world)
