"""The person who bought at GitHub hands the account over, or leaves it: what they bought stays with the account."""

from datetime import timedelta

import pytest

from accounts.customers.entitlements import entitlements_of
from accounts.customers.history import Actor
from accounts.models import Account, Membership, Notice, Role, User
from accounts.people import members
from accounts.signing_in.addresses import note_proven
from accounts.support import ownership
from marketplace.github.repository_hooks import register_hook
from marketplace.github.tokens import UserToken
from tests.factories import AccountFactory, UserFactory
from tests.marketplace.conftest import World
from tests.marketplace.offboarding.test_offboarding import Customers

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def customer(world: World) -> Customers:
    return Customers(world)


@pytest.fixture
def colleague(customer: Customers) -> User:
    person: User = UserFactory(email="colleague@example.org")
    note_proven(person)
    Membership.objects.create(account=customer.account, user=person, role=Role.ADMIN)
    return person


def handed_over(customer: Customers, colleague: User, *, stays: bool) -> Account:
    account = customer.account
    by = Actor.owner(customer.owner)
    assert ownership.hand_over(account, to=colleague, stays=stays, by=by, at=customer.world.now)
    return account


@pytest.mark.parametrize("stays", [True, False])
def test_after_a_hand_over_the_purchase_goes_on_and_its_end_is_told_to_the_new_owner(
    customer: Customers, colleague: User, world: World, stays: bool
) -> None:
    account = handed_over(customer, colleague, stays=stays)
    assert entitlements_of(account, world.now).plan == "pro"
    world.passes(DAY)
    customer.leaves()
    world.run("offboard")
    assert customer.account.deactivated_at == world.now
    assert Notice.objects.get(kind="marketplace/github_offboard").recipient == colleague
    assert {kind: customer.steps()[kind] for kind in ("confirm", "hooks", "tokens")} == {
        "confirm": "done",
        "hooks": "done",
        "tokens": "done",
    }
    # The hooks that we made by the buyer's token are gone, and so is the token.
    assert (world.github.hooks, world.github.tokens) == ([], [])
    assert UserToken.objects.get().access is None


def test_a_buyer_who_has_left_as_an_administrator_is_not_needed_to_end_it(
    customer: Customers, colleague: User, world: World
) -> None:
    account = handed_over(customer, colleague, stays=True)
    members.leave(account, user=customer.owner, at=world.now)
    world.passes(DAY)
    customer.leaves()
    world.run("offboard")
    assert (world.github.hooks, world.github.tokens) == ([], [])
    world.passes(30 * DAY)
    for _turn in range(4):
        world.run("purge", "offboard")
        world.passes(timedelta(minutes=6))
    assert not Account.objects.filter(pk=account.pk).exists()
    assert not User.objects.filter(pk=colleague.pk).exists()
    # Who had left is nobody's customer, and was not erased with the account.
    assert User.objects.filter(pk=customer.owner.pk).exists()


def test_a_token_whose_person_has_left_is_kept_for_another_account_whose_hooks_it_made(
    customer: Customers, colleague: User, world: World
) -> None:
    other = AccountFactory()
    register_hook(other, repository="acme/docs", hook_id=77, github_user_id=customer.buyer.id, at=world.now)
    handed_over(customer, colleague, stays=False)
    world.passes(DAY)
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["tokens"] == "1 kept for another account of the same person"
    assert len(world.github.tokens) == 1
