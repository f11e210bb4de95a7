"""`kill -9` in the middle of every step of an offboarding: the next worker goes on where it stopped."""

import time
from datetime import timedelta

import pytest

from accounts.models import Membership, Role
from marketplace.github import tokens
from marketplace.github.repository_hooks import register_hook
from marketplace.models import Offboarding, OffboardingStep, RepositoryHook, UserToken
from tests.factories import NOW, UserFactory
from tests.fakes.github import FakeGitHub
from tests.faults.processes import sweep
from tests.marketplace.conftest import World

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.concurrency]
#: Seconds for a process to start and come to its call.
PATIENCE = 30


def a_customer_who_leaves(github: FakeGitHub) -> None:
    world = World(github)
    buyer = github.account(login="harbour")
    world.hears(github.buy(buyer, github.listing_plan(name="Pro", monthly=900)))
    account, owner, token = world.account_of(buyer), UserFactory(), github.authorize(buyer)
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    tokens.keep(
        owner,
        github_user_id=buyer.id,
        login="harbour",
        access=token.value,
        refresh="",
        scopes="",
        expires_at=None,
        at=NOW,
    )
    for repository in ("acme/site", "acme/shop"):
        register_hook(
            account,
            repository=repository,
            hook_id=github.hook(repository, token),
            github_user_id=buyer.id,
            at=NOW,
        )
    world.hears(github.cancel(buyer))


@pytest.mark.parametrize("carried_out", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize(
    "call",
    [
        "GET /marketplace_listing/accounts/*",
        "DELETE /repos/acme/site/*",
        "DELETE /repos/acme/shop/*",
        "DELETE /applications/*/grant",
    ],
)
def test_a_worker_killed_in_a_step_is_succeeded_by_one_that_goes_on(
    github: FakeGitHub, call: str, carried_out: bool
) -> None:
    a_customer_who_leaves(github)
    environment = {
        "GITHUB_API_URL": github.url,
        "GITHUB_WEB_URL": github.web_url,
        "GITHUB_CLIENT_ID": github.client_id,
        "GITHUB_CLIENT_SECRET": github.client_secret,
        "GITHUB_MUTATION_PAUSE": "0",
    }
    github.fail(call, hang=60, carried_out=carried_out)
    killed = sweep("offboard", at=NOW, **environment)
    deadline = time.monotonic() + PATIENCE
    while not github.count(call) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert github.count(call) == 1
    killed.kill()
    killed.wait()
    github.heal()

    later = NOW + OffboardingStep.LEASE + timedelta(seconds=1)
    github.now = later
    assert sweep("offboard", at=later, **environment).wait() == 0

    undone = Offboarding.objects.get().steps.undone()
    assert list(undone.values_list("kind", flat=True)) == ["purge"]
    assert (github.hooks, github.tokens) == ([], [])
    assert not RepositoryHook.objects.remaining().exists()
    assert not UserToken.objects.alive().exists()
    # What was answered once was not asked for again.
    assert github.repeated() == []
