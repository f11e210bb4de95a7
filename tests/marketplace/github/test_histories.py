"""Whatever happens to one customer's events, we end where GitHub is.

Random histories: what the customer does, what becomes of the deliveries (late, twice, lost, captured and sent again),
what GitHub's API does in between (fails, answers stale), where our worker dies, what the desk decides meanwhile (a
contract instead, a deletion and its calling off). Then peace, and a reconciliation.
"""

import random
from contextlib import nullcontext, suppress
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.checks.breaker import BreakerOpen
from accounts.core.refusal import Refused
from accounts.customers.entitlements import entitlements_of
from accounts.customers.history import Actor
from accounts.jobs.invariants import violations
from accounts.models import Membership, Purge, RequestKind, Role, User
from accounts.support import deletion
from accounts.support.requests import ask
from marketplace.github.client import GitHubError
from marketplace.github.customer import GitHubCustomer
from marketplace.github.repository_hooks import register_hook
from marketplace.github.tokens import keep
from marketplace.models import Offboarding, RepositoryHook, Tombstone, UserToken
from subscriptions import contracts
from subscriptions.changes import end_now
from subscriptions.models import Channel, Subscription
from subscriptions.models import Plan as CataloguePlan
from tests.factories import NOW
from tests.fakes.github import Delivery, FakeGitHub, Plan
from tests.marketplace.conftest import World, deliver

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SWEEPS = ("deliveries", "github-check", "offboard", "github-reconcile", "purge")

THEIRS = ["buy", "cancel", "seats", "plan", "pend", "withdraw", "rename", "wait", "wait", "wait"]
acts = st.sampled_from(THEIRS)
acts_and_decisions = st.sampled_from([*THEIRS, "contract", "delete", "delete"])
fates = st.sampled_from(["arrives", "arrives", "arrives", "twice", "late", "lost"])
troubles = st.sampled_from(["none", "none", "none", "fails", "stale", "dies", "unheard"])


@given(history=st.lists(st.tuples(acts, fates, troubles, st.integers(0, 2**16)), max_size=14))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_history_ends_where_github_is(github: FakeGitHub, history: list[tuple[str, str, str, int]]) -> None:
    with transaction.atomic():
        live_through(github, history)
        transaction.set_rollback(True)


@given(history=st.lists(st.tuples(acts_and_decisions, fates, troubles, st.integers(0, 2**16)), max_size=14))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_nothing_that_the_desk_decides_is_undone_or_forgotten(
    github: FakeGitHub, history: list[tuple[str, str, str, int]]
) -> None:
    with transaction.atomic():
        live_through(github, history)
        transaction.set_rollback(True)


def live_through(github: FakeGitHub, history: list[tuple[str, str, str, int]]) -> None:
    github.clear()
    github.now = NOW
    world = World(github)
    plans = [github.listing_plan(name="S", monthly=500), github.listing_plan(name="L", monthly=1500)]
    buyer = github.account(login="harbour")
    late: list[Delivery] = []
    captured: list[Delivery] = []
    for act, fate, trouble, seed in history:
        chance = random.Random(seed)  # noqa: S311  # reproducible histories
        delivery = None
        if act in ("contract", "delete"):
            decide(world, act)
        else:
            delivery = perform(world, act, plans, chance)
        if captured and chance.random() < 0.3:
            deliver(chance.choice(captured).replayed(), world.now)
        if delivery:
            captured.append(delivery)
            {"late": late.append}.get(fate, lambda _delivery: None)(delivery)
            for _time in range({"arrives": 1, "twice": 2}.get(fate, 0)):
                deliver(delivery, world.now)
        if late and chance.random() < 0.5:
            deliver(late.pop(chance.randrange(len(late))), world.now)
        suffer(world, trouble, chance)
        github.heal()
        work(world)
    for delivery in late:
        deliver(delivery, world.now)
    settle_down(world)
    assert not [found for found in violations(world.now) if found.name == "offboarding-without-purge"]
    # The newest: the desk ends the one before it.
    contracts_of_the_desk = Subscription.objects.filter(channel=Channel.DATADOG_SALES).order_by("-pk")
    if (contract := contracts_of_the_desk.first()) is None:
        compare(world, buyer.id)
    elif deletion.scheduled(contract.account) is None and contract.account.purging_at is None:
        holds(world, contract)


def perform(world: World, act: str, plans: list[Plan], chance: random.Random) -> Delivery | None:
    """One act of the customer, if it makes sense just now."""
    github = world.github
    buyer = github.account(login="harbour") if not github.accounts else next(iter(github.accounts.values()))
    has, pending = github.purchase_of(buyer), github.pending_change_of(buyer)
    plan = chance.choice(plans)
    if act == "wait":
        world.passes(chance.choice([timedelta(minutes=1), HOUR, timedelta(days=1), timedelta(days=9)]))
    elif act == "rename":
        github.rename(buyer, f"harbour-{chance.randrange(10)}")
    elif act == "buy" and not has:
        return github.buy(buyer, plan, unit_count=chance.randint(1, 5))
    elif act == "cancel" and has:
        return github.cancel(buyer)
    elif act == "seats" and has:
        return github.change(buyer, unit_count=chance.randint(1, 5))
    elif act == "plan" and has:
        return github.change(buyer, plan)
    elif act == "pend" and has and not pending:
        return github.schedule_change(buyer, plan)
    elif act == "withdraw" and pending:
        return github.withdraw_change(buyer)
    return None


def decide(world: World, what: str) -> None:
    """What the desk decides about the account: a contract instead of the purchase; a deletion, and its calling off."""
    customer = GitHubCustomer.objects.select_related("account").first()
    owner = customer.account.owner() if customer else None
    if customer is None or owner is None or customer.account.purging_at:
        return
    account = customer.account
    agent, lead = (
        Actor.staff(User.objects.get_or_create(email=f"{name}@example.com", defaults={"is_staff": True})[0])
        for name in ("agent", "lead")
    )
    # What is refused is refused with nothing changed: a contract while a deletion stands, two at a time.
    with suppress(Refused), transaction.atomic():
        if what == "contract":
            for live in Subscription.objects.of(account).live(world.now):
                end_now(live, by=lead, at=world.now)
            contracts.enter(
                account,
                plan=CataloguePlan.objects.get(code="enterprise"),
                starts_at=world.now,
                ends_at=world.now + 900 * DAY,
                seats=1,
                order_reference="SO-1",
                by=lead,
                at=world.now,
            )
        elif deletion.scheduled(account):
            deletion.call_off(account, by=Actor.owner(owner), at=world.now)
        else:
            request, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=world.now)
            deletion.propose(request, by=agent, at=world.now, override="they insist")
            deletion.approve(request, by=lead, at=world.now)


def work(world: World) -> None:
    """The customer, while there is one, authorises us, and the product makes a hook."""
    customer = GitHubCustomer.objects.filter(cancelled_at=None).select_related("account").first()
    if customer is None or UserToken.objects.alive().exists():
        return
    owner, _new = User.objects.get_or_create(email="owner@example.org")
    if not customer.account.memberships.exists():
        Membership.objects.create(account=customer.account, user=owner, role=Role.OWNER)
    token = world.github.authorize(world.github.accounts[customer.github_id])
    keep(
        owner,
        github_user_id=customer.github_id,
        login=customer.login,
        access=token.value,
        refresh="",
        scopes="",
        expires_at=None,
        at=world.now,
    )
    hook_id = world.github.hook(f"acme/site-{len(world.github.repositories)}", token)
    repository = world.github.repositories[-1].full_name
    register_hook(
        customer.account, repository=repository, hook_id=hook_id, github_user_id=customer.github_id, at=world.now
    )


def suffer(world: World, trouble: str, chance: random.Random) -> None:
    """The sweeps run, while GitHub or the worker has its trouble."""
    if trouble == "fails":
        world.github.fail("*", status=chance.choice([500, 502, 403, 401, 429]), times=chance.randint(1, 6))
    if trouble == "unheard":
        # GitHub does it, and the answer is lost.
        world.github.fail("DELETE *", status=502, times=chance.randint(1, 2), carried_out=True)
    if trouble == "stale":
        for account in world.github.accounts.values():
            world.github.stale(account, reads=chance.randint(1, 2))
    names = [name for name in SWEEPS if chance.random() < 0.7]
    if trouble == "dies":
        names = names[: chance.randint(0, len(names))]
    for name in names:
        # A reconciliation that could not be read whole says so; beat would come again.
        with suppress(GitHubError, BreakerOpen) if name == "github-reconcile" else nullcontext():
            world.run(name)


def settle_down(world: World) -> None:
    """Peace: no more trouble, and enough time for every second look."""
    for _turn in range(9):
        world.passes(2 * HOUR)
        for name in SWEEPS:
            world.run(name)


def holds(world: World, contract: Subscription) -> None:
    """A contract that the desk entered goes on, whatever GitHub says of what was bought there."""
    entitlements = entitlements_of(contract.account, world.now)
    assert (contract.settled_at, entitlements.active, entitlements.plan) == (None, True, "enterprise")
    assert not Offboarding.objects.open().of(contract.account_id).exists()
    assert not Purge.objects.open().of(contract.account_id).exists()
    assert Subscription.objects.of(contract.account).live(world.now).get() == contract


def compare(world: World, github_id: int) -> None:
    """Our side is GitHub's side, and nothing was done to the outside twice."""
    buyer = world.github.accounts[github_id]
    purchase, pending = world.github.purchase_of(buyer), world.github.pending_change_of(buyer)
    customer = GitHubCustomer.objects.filter(github_id=github_id).first()
    assert world.github.repeated() == []
    if customer is None or customer.account.purging_at:
        # Erased; what GitHub goes on with is a task for staff.
        assert purchase is None or Tombstone.objects.get().named_at
        return
    if deletion.scheduled(customer.account):
        assert Purge.objects.open().of(customer.account_id).exists()
        return
    entitlements = entitlements_of(customer.account, world.now)
    live = Subscription.objects.of(customer.account).live(world.now).first()
    if purchase is None:
        assert (live, entitlements.active, customer.cancelled_at is None) == (None, False, False)
        offboarding = Offboarding.objects.open().get(account_id=customer.account_id)
        assert list(offboarding.steps.undone().values_list("kind", flat=True)) == ["purge"]
        # Whatever is still there at GitHub was refused, and is listed for staff. (A hook that went while its answer was
        # lost, and about which we were refused afterwards, is listed too: nobody told us that it is gone.)
        refused = RepositoryHook.objects.remaining().exclude(last_error="")
        assert set(world.github.hooks) <= set(refused.values_list("hook_id", flat=True))
        assert world.github.tokens == []
        assert not UserToken.objects.alive().exists()
        return
    assert live is not None
    assert entitlements.active
    assert not Offboarding.objects.open().of(customer.account_id).exists()
    assert (live.cents, live.seats, customer.listing_plan_id) == (
        purchase.plan.monthly,
        purchase.unit_count,
        purchase.plan.id,
    )
    assert customer.login == buyer.login
    assert (customer.pending_since is None) == (pending is None)
    billing = purchase.next_billing_date
    assert customer.next_billing_on == (billing and billing.date())
