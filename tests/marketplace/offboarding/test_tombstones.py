"""Erased on two people's word while GitHub goes on: no account that nobody owns, but a task for staff."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.customers.history import Actor
from accounts.jobs.invariants import violations
from accounts.models import Account, Certificate, Membership, RequestKind, Role, User
from accounts.support import deletion
from accounts.support.requests import ask
from marketplace.models import Tombstone
from tests.fakes.github import Account as Buyer
from tests.fakes.github import Plan
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)


@pytest.fixture
def pro(world: World) -> Plan:
    return world.github.listing_plan(name="Pro", monthly=900)


@pytest.fixture
def erased(world: World, pro: Plan, owner: User, agent: User, lead: User) -> Buyer:
    """A customer of GitHub's whose account was erased with a lead's override, nine days after the purchase."""
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro))
    account = world.account_of(buyer)
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    world.passes(DAY)
    request, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=world.now)
    deletion.propose(request, by=Actor.staff(agent), at=world.now, override="they lost their GitHub account")
    found = deletion.approve(request, by=Actor.staff(lead), at=world.now)
    world.now = world.github.now = found.due_at
    world.run("github-reconcile", "github-check")
    for _turn in range(3):
        world.run("purge")
        world.passes(timedelta(minutes=6))
    assert not Account.objects.exists()
    return buyer


def tasks(world: World) -> int:
    return sum(found.count for found in violations(world.now) if found.name == "billed-after-erasure")


def test_an_override_is_not_undone_by_reconciliations_and_the_erasing_keeps_its_date(
    world: World, erased: Buyer
) -> None:
    assert Certificate.objects.get().body["deadline_met"] is True
    found = Tombstone.objects.get()
    assert (found.number, found.named_at, str(erased.id) in found.digest) == ("", None, False)
    assert tasks(world) == 0


def test_what_github_still_names_becomes_a_task_and_no_account(
    world: World, erased: Buyer, lead: User, sign_in: SignIn
) -> None:
    world.passes(DAY)
    world.run("github-reconcile")
    world.hears(world.github.change(erased, unit_count=4))
    assert not Account.objects.exists()
    assert (Tombstone.objects.get().number, tasks(world)) == (str(erased.id), 1)
    client = sign_in(lead)
    page = client.get(f"/admin/marketplace/tombstone/{Tombstone.objects.get().pk}/change/").content.decode()
    assert str(erased.id) in page
    done = client.post(
        f"/admin/act/deal_with_tombstone/{Tombstone.objects.get().pk}/",
        {"reason": "Ticket 7 at GitHub Support", "confirmed": "yes"},
        follow=True,
    )
    assert "shown again if the marketplace still names it" in done.content.decode()
    Tombstone.objects.update(dealt_with_at=world.now)
    assert tasks(world) == 0
    world.passes(36 * DAY)
    world.run("github-reconcile")
    assert tasks(world) == 1


def test_it_goes_when_github_names_it_no_more(world: World, erased: Buyer) -> None:
    world.passes(DAY)
    world.github.cancel(erased)  # lost
    world.run("github-reconcile")
    assert not Tombstone.objects.exists()


def test_it_is_no_task_any_more_when_they_cancel_and_goes_with_the_next_walk(world: World, erased: Buyer) -> None:
    world.passes(DAY)
    world.run("github-reconcile")
    assert tasks(world) == 1
    world.hears(world.github.cancel(erased))
    assert tasks(world) == 0
    world.run("github-reconcile")
    assert not Tombstone.objects.exists()
    assert not Account.objects.exists()


def test_a_captured_cancellation_hides_it_no_longer_than_until_the_next_walk(world: World, erased: Buyer) -> None:
    world.passes(DAY)
    captured = world.github.cancel(erased)
    world.github.buy(erased, world.github.listing_plan(name="Team", monthly=1900))  # lost
    world.hears(captured)
    world.run("github-reconcile")
    assert (Account.objects.count(), tasks(world)) == (0, 1)


def test_who_buys_again_is_a_new_customer(world: World, erased: Buyer, pro: Plan) -> None:
    world.github.cancel(erased)  # lost
    world.passes(2 * DAY)
    world.hears(world.github.buy(erased, pro))
    assert Account.objects.count() == 1
    assert not Tombstone.objects.exists()


def test_a_replaced_secret_key_still_knows_it(world: World, erased: Buyer, settings: Settings) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    world.passes(DAY)
    world.run("github-reconcile")
    assert (Account.objects.count(), tasks(world)) == (0, 1)
