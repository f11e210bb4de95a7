"""Who cancels in the marketplace and asks for deletion, too, obliges us twice: neither is forgotten for the other."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.customers.history import Actor
from accounts.erasure import scheduling
from accounts.erasure.holds import set_hold
from accounts.erasure.obligation import PurgeCause
from accounts.jobs.invariants import violations
from accounts.models import Account, Event, Membership, Notice, Purge, RequestKind, Role, SupportRequest, User
from accounts.support import deletion
from accounts.support.requests import ask
from marketplace.models import Offboarding
from tests.factories import NOW
from tests.fakes.github import Account as Buyer
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
LEAD = timedelta(hours=12)


@pytest.fixture
def buyer(world: World, owner: User) -> Buyer:
    found = world.github.account(login="harbour")
    world.hears(world.github.buy(found, world.github.listing_plan(name="Pro", monthly=900)))
    Membership.objects.create(account=world.account_of(found), user=owner, role=Role.OWNER)
    return found


def ask_for_deletion(account: Account, owner: User, agent: User, world: World) -> SupportRequest:
    made, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=world.now)
    deletion.propose(made, by=Actor.staff(agent), at=world.now, override="they leave anyhow")
    return made


def approve(request: SupportRequest, lead: User, world: World) -> Purge:
    return deletion.approve(request, by=Actor.staff(lead), at=world.now)


def test_a_request_called_off_leaves_the_marketplaces_thirty_days_standing(
    world: World, buyer: Buyer, owner: User, agent: User, lead: User
) -> None:
    """As it was seen: asked for, cancelled at GitHub, approved, called off."""
    account = world.account_of(buyer)
    request = ask_for_deletion(account, owner, agent, world)
    world.passes(DAY)
    world.hears(world.github.cancel(buyer))
    cancelled_at = world.now
    world.passes(DAY)
    assert approve(request, lead, world).due_at == world.now + 7 * DAY
    account.refresh_from_db()
    assert account.returnable_until == world.now + 7 * DAY
    world.passes(DAY)
    assert deletion.call_off(account, by=Actor.owner(owner), at=world.now)
    found = Purge.objects.open().get()
    account.refresh_from_db()
    assert (found.cause, found.due_at, found.deadline_at) == (
        "marketplace_cancellation",
        cancelled_at + 30 * DAY - LEAD,
        cancelled_at + 30 * DAY,
    )
    assert found.next_attempt_at == account.returnable_until == found.due_at
    assert Event.objects.filter(kind="purge.postponed").count() == 1
    assert Notice.objects.get(kind="accounts/deletion_called_off").facts["due_at"]
    world.now = found.due_at
    for _turn in range(3):
        world.run("purge", "offboard")
        world.passes(timedelta(minutes=6))
    assert not Account.objects.filter(pk=account.pk).exists()
    assert Offboarding.objects.get().finished_at is not None


def test_coming_back_to_the_marketplace_leaves_what_the_customer_asked_for_standing(
    world: World, buyer: Buyer, owner: User, agent: User, lead: User
) -> None:
    account = world.account_of(buyer)
    world.hears(world.github.cancel(buyer))
    approve(ask_for_deletion(account, owner, agent, world), lead, world)
    assert scheduling.call_off(account, at=NOW, by=Actor.system(), cause=PurgeCause.MARKETPLACE_CANCELLATION)
    assert deletion.scheduled(account) == Purge.objects.open().get()


def test_the_purge_is_off_when_no_obligation_is_left(
    world: World, buyer: Buyer, owner: User, agent: User, lead: User
) -> None:
    account = world.account_of(buyer)
    world.hears(world.github.cancel(buyer))
    approve(ask_for_deletion(account, owner, agent, world), lead, world)
    for cause in PurgeCause:
        assert scheduling.call_off(account, at=NOW, by=Actor.system(), cause=cause)
    assert not Purge.objects.open().exists()
    assert Purge.objects.get().reasons() != []


def test_staff_who_reactivate_are_told_that_the_customers_request_stands(
    world: World, buyer: Buyer, owner: User, agent: User, lead: User, sign_in: SignIn
) -> None:
    account = world.account_of(buyer)
    world.hears(world.github.cancel(buyer))
    approve(ask_for_deletion(account, owner, agent, world), lead, world)
    answer = sign_in(lead).post(
        f"/admin/act/reactivate/{account.pk}/", {"reason": "They called", "confirmed": "yes"}, follow=True
    )
    text = answer.content.decode()
    assert "Its data is still erased from" in text
    assert "with its data, on Free" not in text


def test_an_open_offboarding_without_an_erasing_is_found(world: World, buyer: Buyer) -> None:
    world.hears(world.github.cancel(buyer))
    assert not [found for found in violations(world.now) if found.name == "offboarding-without-purge"]
    scheduling.call_off(world.account_of(buyer), at=world.now, by=Actor.system())
    (found,) = (found for found in violations(world.now) if found.name == "offboarding-without-purge")
    assert found.count == 1


def test_a_hold_that_reaches_beyond_the_nearer_deadline_needs_a_second_person(
    world: World, buyer: Buyer, owner: User, agent: User, lead: User
) -> None:
    """In effect as long as the marketplace's thirty days are the nearest; not once the customer's month is."""
    account = world.account_of(buyer)
    request = ask_for_deletion(account, owner, agent, world)
    world.passes(20 * DAY)
    world.hears(world.github.cancel(buyer))
    hold = set_hold(account, reason="Case 1", until=world.now + 20 * DAY, at=world.now, by=Actor.staff(lead))
    assert not hold.needs_confirmation(world.now)
    approve(request, lead, world)
    assert hold.needs_confirmation(world.now)
    deletion.call_off(account, by=Actor.owner(owner), at=world.now)
    assert not hold.needs_confirmation(world.now)
