"""A whole life with GitHub: buy, sign in, hooks, cancel, come back, cancel again, everything gone."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from accounts.blueprints.models import Blueprint
from accounts.erasure.purge import Purge
from accounts.jobs.due_work import claim
from accounts.jobs.invariants import violations, warnings
from accounts.models import Account, Delivery, Membership, Notice, Role, User
from marketplace.github import tokens
from marketplace.github.customer import GitHubCustomer
from marketplace.github.repository_hooks import register_hook
from marketplace.github.tokens import UserToken
from marketplace.models import Offboarding, OffboardingStep, RateLimitPause, RepositoryHook
from marketplace.offboarding import runner
from tests.accounts.erasure.purging import start_due
from tests.factories import AccountFactory, BlueprintFactory, UserFactory, subscribe
from tests.fakes.github import Account as Buyer
from tests.fakes.github import Token
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Customers:
    """A customer with an owner who has authorised us, and two hooks that we made."""

    def __init__(self, world: World, login: str = "harbour") -> None:
        self.world = world
        self.plan = world.github.listing_plan(name=f"Pro {login}", monthly=900)
        self.buyer: Buyer = world.github.account(login=login)
        world.hears(world.github.buy(self.buyer, self.plan))
        self.owner: User = UserFactory(email=f"{login}@example.org")
        Membership.objects.create(account=self.account, user=self.owner, role=Role.OWNER)
        self.token = self.authorise()
        for repository in ("acme/site", "acme/shop"):
            self.make_hook(repository)

    @property
    def account(self) -> Account:
        return self.world.account_of(self.buyer)

    def is_deactivated(self) -> bool:
        return self.account.deactivated_at is not None

    def authorise(self) -> Token:
        token = self.world.github.authorize(self.buyer)
        tokens.keep(
            self.owner,
            github_user_id=self.buyer.id,
            login=self.buyer.login,
            access=token.value,
            refresh=token.refresh_token or "",
            scopes="",
            expires_at=token.expires_at,
            at=self.world.now,
        )
        return token

    def make_hook(self, repository: str) -> int:
        hook_id = self.world.github.hook(repository, self.token)
        register_hook(
            self.account,
            repository=repository,
            hook_id=hook_id,
            github_user_id=self.buyer.id,
            at=self.world.now,
        )
        return hook_id

    def leaves(self) -> None:
        self.world.hears(self.world.github.cancel(self.buyer))

    def steps(self) -> dict[str, str]:
        """Each step of the newest offboarding: `done`, its remark, or what is in its way."""
        newest = Offboarding.objects.order_by("-pk")[0]
        return {
            step.kind: (step.remark or "done") if step.done_at else step.last_error or "waiting"
            for step in newest.steps.order_by("number")
        }


@pytest.fixture
def customer(world: World) -> Customers:
    return Customers(world)


def test_a_departure_is_carried_out_step_by_step(customer: Customers, world: World) -> None:
    world.passes(DAY)
    customer.leaves()
    assert customer.account.deactivated_at == world.now
    assert customer.steps() == {
        "deactivate": "done",
        "confirm": "waiting",
        "hooks": "waiting",
        "tokens": "waiting",
        "purge": "waiting",
    }
    world.run("offboard")
    assert customer.steps() | {"purge": ""} == {
        "deactivate": "done",
        "confirm": "done",
        "hooks": "done",
        "tokens": "done",
        "purge": "",
    }
    assert world.github.hooks == []
    assert world.github.tokens == []
    token = UserToken.objects.get()
    assert (token.access, token.refresh, token.revoked_at) == (None, None, world.now)
    # The hooks went before the token that could delete them.
    calls = [request.path for request in world.github.requests if request.method == "DELETE"]
    assert [path.split("/")[1] for path in calls] == ["repos", "repos", "applications"]
    assert world.github.repeated() == []
    mail = Notice.objects.get(kind="marketplace/github_offboard")
    assert mail.recipient == customer.owner


def test_on_the_thirtieth_day_everything_is_gone_and_the_offboarding_ends_with_the_proof(
    customer: Customers, world: World
) -> None:
    BlueprintFactory(account=customer.account)
    account_id = customer.account.pk
    customer.leaves()
    world.run("offboard", "notices")
    world.passes(30 * DAY - timedelta(hours=13))
    world.run("purge", "offboard")
    assert Blueprint.objects.exists()
    world.passes(timedelta(hours=1))
    for _turn in range(3):
        world.run("purge", "offboard")
        world.passes(6 * MINUTE)
    assert not Account.objects.filter(pk=account_id).exists()
    assert not User.objects.filter(email=customer.owner.email).exists()
    assert not GitHubCustomer.objects.exists()
    assert not RepositoryHook.objects.exists()
    assert not UserToken.objects.exists()
    offboarding = Offboarding.objects.get()
    assert offboarding.finished_at is not None
    assert offboarding.finished_at < offboarding.deadline_at


def test_who_comes_back_within_thirty_days_finds_everything_and_is_asked_to_authorise(
    customer: Customers, world: World
) -> None:
    blueprint = BlueprintFactory(account=customer.account)
    account = customer.account
    customer.leaves()
    world.run("offboard")
    world.passes(20 * DAY)
    world.hears(world.github.buy(customer.buyer, customer.plan))
    world.run("github-check")
    assert customer.account == account
    assert customer.account.deactivated_at is None
    assert Blueprint.objects.get() == blueprint
    assert Offboarding.objects.get().called_off_because == "purchased"
    assert Purge.objects.get().called_off_at == world.now
    assert GitHubCustomer.objects.get().authorisation_needed_at == world.now
    world.passes(40 * DAY)
    world.run("purge", "offboard")
    assert Blueprint.objects.exists()


def test_who_comes_back_after_the_purge_gets_a_fresh_account(customer: Customers, world: World) -> None:
    old = customer.account.pk
    customer.leaves()
    world.run("offboard")
    world.passes(30 * DAY)
    for _turn in range(3):
        world.run("purge")
        world.passes(MINUTE)
    world.hears(world.github.buy(customer.buyer, customer.plan))
    assert customer.account.pk != old
    assert customer.account.memberships.count() == 0


def test_who_comes_back_while_the_purge_runs_gets_a_fresh_account_and_the_purge_goes_on(
    customer: Customers, world: World
) -> None:
    old = customer.account.pk
    customer.leaves()
    world.run("offboard")
    world.passes(29 * DAY + timedelta(hours=13))
    start_due(world.now)
    world.hears(world.github.buy(customer.buyer, customer.plan))
    world.run("github-check")
    fresh = customer.account.pk
    assert fresh != old
    assert not customer.is_deactivated()
    for _turn in range(3):
        world.passes(MINUTE)
        world.run("purge")
    assert not Account.objects.filter(pk=old).exists()
    assert customer.account.pk == fresh


def test_hooks_that_github_does_not_know_any_more_are_gone(customer: Customers, world: World) -> None:
    world.github.delete_hook(world.github.hooks[0])
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["hooks"] == "done"
    assert not RepositoryHook.objects.remaining().exists()


def test_a_hook_that_no_token_may_see_is_not_taken_for_deleted(customer: Customers, world: World) -> None:
    """GitHub answers 404, not 403, to a token that lacks the right."""
    world.github.revoke(customer.token)
    weak = world.github.authorize(customer.buyer, scopes=["user:email"])
    tokens.keep(
        customer.owner,
        github_user_id=customer.buyer.id,
        login="harbour",
        access=weak.value,
        refresh="",
        scopes="",
        expires_at=None,
        at=world.now,
    )
    customer.leaves()
    for _turn in range(4):
        world.run("offboard")
        world.passes(HOUR)
    assert customer.steps()["hooks"].startswith("given up: 2 hooks could not be deleted: acme/site")
    assert customer.steps()["tokens"] == "done"
    assert set(RepositoryHook.objects.remaining().values_list("last_error", flat=True)) == {"harbour: 404"}


def test_a_repository_that_fails_does_not_hold_up_the_others(customer: Customers, world: World) -> None:
    world.github.fail("DELETE /repos/acme/site/*", status=500, times=None)
    customer.leaves()
    world.run("offboard")
    assert list(RepositoryHook.objects.remaining().values_list("repository", flat=True)) == ["acme/site"]


def test_a_renamed_repository_is_found(customer: Customers, world: World) -> None:
    world.github.rename_repository("acme/site", "home")
    customer.leaves()
    world.run("offboard")
    assert world.github.hooks == []


def test_a_redirect_to_another_host_gets_no_token(customer: Customers, world: World) -> None:
    world.github.fail("DELETE /repos/acme/site/*", status=307, location="http://127.0.0.2:9/steal", times=None)
    customer.leaves()
    world.run("offboard")
    assert "another host" in RepositoryHook.objects.get(repository="acme/site").last_error


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_is_tried_again_and_goes_on_where_it_stopped(
    customer: Customers, world: World, status: int
) -> None:
    world.github.fail("DELETE /repos/acme/shop/*", status=status)
    customer.leaves()
    world.run("offboard")
    assert "1 hooks could not be deleted" in customer.steps()["hooks"]
    assert str(status) in RepositoryHook.objects.remaining().get().last_error
    assert len(world.github.hooks) == 1
    assert len(world.github.tokens) == 1
    world.passes(10 * MINUTE)
    world.run("offboard")
    assert customer.steps()["tokens"] == "done"
    assert world.github.count("DELETE /repos/acme/site/*") == 1


@pytest.mark.parametrize("fault", [{"hang": 0.1}, {"disconnect": True}, {"garbled": True}])
def test_a_confirmation_that_was_not_understood_is_asked_for_again(
    customer: Customers, world: World, fault: dict[str, object]
) -> None:
    world.github.fail("GET /marketplace_listing/accounts/*", **fault)  # type: ignore[arg-type]
    customer.leaves()
    world.run("offboard")
    assert len(world.github.hooks) == 2
    world.passes(10 * MINUTE)
    world.run("offboard")
    assert customer.steps()["tokens"] == "done"


def test_a_secondary_limit_is_obeyed_to_the_second(customer: Customers, world: World) -> None:
    world.github.fail("DELETE /repos/acme/site/*", status=403, retry_after=90)
    customer.leaves()
    world.run("offboard")
    step = OffboardingStep.objects.get(kind="hooks")
    assert (step.next_attempt_at, step.attempts) == (world.now + timedelta(seconds=90), 0)
    assert RateLimitPause.objects.get().until == world.now + timedelta(seconds=90)
    asked = world.github.count()
    world.passes(timedelta(seconds=89))
    world.run("offboard")
    assert world.github.count() == asked
    world.passes(timedelta(seconds=1))
    world.run("offboard")
    assert customer.steps()["hooks"] == "done"


def test_a_primary_limit_is_obeyed_by_every_worker(customer: Customers, world: World) -> None:
    world.github.rate_limit(remaining=0, reset_at=world.now + 20 * MINUTE)
    customer.leaves()
    world.run("offboard")
    assert OffboardingStep.objects.get(kind="confirm").next_attempt_at == world.now + 20 * MINUTE + timedelta(seconds=1)
    asked = world.github.count()
    world.passes(19 * MINUTE)
    world.run("offboard", "github-check")
    assert world.github.count() == asked


def test_a_plain_403_is_no_rate_limit_and_another_token_is_tried(customer: Customers, world: World) -> None:
    colleague = UserFactory(email="colleague@example.org")
    Membership.objects.create(account=customer.account, user=colleague, role=Role.ADMIN)
    person = world.github.account(login="colleague")
    token = world.github.authorize(person)
    world.github.repository("acme/site", admins=[person])
    world.github.repository("acme/shop", admins=[person])
    tokens.keep(
        colleague,
        github_user_id=person.id,
        login="colleague",
        access=token.value,
        refresh="",
        scopes="",
        expires_at=None,
        at=world.now,
    )
    world.github.fail("DELETE /repos/acme/site/*", status=403)
    customer.leaves()
    world.run("offboard")
    assert world.github.hooks == []
    assert not RateLimitPause.objects.exists()


def test_hooks_that_resist_are_listed_and_keep_no_tokens_alive_past_the_limit(
    customer: Customers, world: World
) -> None:
    world.github.fail("DELETE /repos/acme/site/*", status=403, times=None)
    customer.leaves()
    for _day in range(11):
        world.run("offboard")
        world.passes(DAY)
    world.run("offboard")
    assert customer.steps()["hooks"].startswith("given up: 1 hooks could not be deleted: acme/site")
    assert customer.steps()["tokens"] == "done"
    assert RepositoryHook.objects.remaining().get().last_error == "harbour: 403"


def test_a_confirmation_that_can_not_be_had_holds_nothing_up_past_its_limit(customer: Customers, world: World) -> None:
    world.github.fail("GET /marketplace_listing/*", status=503, times=None)
    customer.leaves()
    for _day in range(7):
        world.run("offboard")
        assert len(world.github.hooks) == 2
        world.passes(DAY)
    for _turn in range(3):
        world.run("offboard")
        world.passes(10 * MINUTE)
    assert customer.steps()["confirm"].startswith("given up")
    assert customer.steps()["tokens"] == "done"


@pytest.mark.parametrize("status", [204, 404, 422])
def test_a_token_that_is_dead_already_counts_as_revoked(customer: Customers, world: World, status: int) -> None:
    RepositoryHook.objects.all().delete()
    world.github.unknown_token_status = status  # type: ignore[assignment]
    world.github.revoke(customer.token)
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["tokens"] == "done"


def test_422_for_spam_is_not_success(customer: Customers, world: World) -> None:
    world.github.fail("DELETE /applications/*", status=422, spammed=True, times=2)
    customer.leaves()
    world.run("offboard")
    assert "still knows it" in customer.steps()["tokens"]
    assert UserToken.objects.alive().exists()
    world.passes(10 * MINUTE)
    world.run("offboard")
    assert world.github.tokens == []


def test_an_expired_token_of_a_github_app_is_renewed_to_be_revoked(world: World) -> None:
    world.github.app_kind = "github_app"
    customer = Customers(world)
    world.passes(DAY)
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["tokens"] == "done"
    assert world.github.tokens == []
    assert world.github.grants == []


def test_a_token_that_another_account_of_the_person_needs_is_kept(customer: Customers, world: World) -> None:
    organisation = world.github.account(login="crew", type="Organization")
    world.hears(world.github.buy(organisation, customer.plan))
    Membership.objects.create(account=world.account_of(organisation), user=customer.owner, role=Role.OWNER)
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["tokens"] == "1 kept for another account of the same person"
    assert len(world.github.tokens) == 1
    world.passes(DAY)
    world.hears(world.github.cancel(organisation))
    world.run("offboard")
    assert world.github.tokens == []


def test_nothing_irreversible_happens_when_github_says_that_the_customer_is_there(
    customer: Customers, world: World
) -> None:
    """A forged or misread cancellation: deactivated on the hint, put right by the answer."""
    cancelled = world.github.cancel(customer.buyer)
    world.github.buy(customer.buyer, customer.plan)
    world.hears(cancelled)
    assert customer.is_deactivated()
    for _turn in range(3):
        world.run("offboard", "github-check")
        world.passes(12 * MINUTE)
    assert not customer.is_deactivated()
    assert Notice.objects.filter(kind="marketplace/account_back", recipient=customer.owner).count() == 1
    assert len(world.github.hooks) == 2
    assert len(world.github.tokens) == 1
    assert Offboarding.objects.get().called_off_because == "purchased"


def test_without_credentials_the_departure_is_carried_out_unconfirmed_and_staff_see_it(
    customer: Customers, world: World, settings: Settings
) -> None:
    settings.GITHUB_CLIENT_ID = settings.GITHUB_CLIENT_SECRET = ""
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["confirm"] == "not confirmed: no credentials are configured"
    assert customer.steps()["hooks"] == "done"
    assert "GITHUB_CLIENT_ID" in customer.steps()["tokens"]
    assert "github-credentials" in [violation.name for violation in warnings(world.now)]


def test_as_a_github_app_it_is_all_the_same(customer: Customers, world: World, settings: Settings) -> None:
    settings.GITHUB_APP_ID, settings.GITHUB_PRIVATE_KEY = str(world.github.app_id), world.github.private_key
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["tokens"] == "done"


def test_downgrading_keeps_the_account_on_free_until_the_customer_chooses(world: World, settings: Settings) -> None:
    settings.GITHUB_CANCELLATION = "downgrade"
    customer = Customers(world)
    customer.leaves()
    assert customer.account.deactivated_at is None
    assert Purge.objects.open().count() == 1
    assert Notice.objects.filter(kind="marketplace/github_downgrade").exists()


def test_a_step_is_tried_by_one_worker_at_a_time(customer: Customers, world: World) -> None:
    customer.leaves()
    found = [claim(OffboardingStep.objects.due, at) for at in (world.now, world.now, world.now + OffboardingStep.LEASE)]
    assert [step is not None for step in found] == [True, False, True]


def test_a_step_that_meets_something_unforeseen_backs_off_is_shown_and_gives_up_at_its_limit(
    customer: Customers, world: World
) -> None:
    garbage = {"id": customer.buyer.id, "login": "harbour", "type": "User", "marketplace_purchase": {"plan": "Pro"}}
    world.github.fail("GET /marketplace_listing/accounts/*", status=200, body=garbage, times=None)
    customer.leaves()
    world.run("offboard")
    step = OffboardingStep.objects.get(kind="confirm")
    assert (step.attempts, step.next_attempt_at) == (1, world.now + 5 * MINUTE)
    assert step.last_error.startswith("UnreadablePayload: ")
    world.passes(DAY)
    assert "offboarding-step" not in [found.name for found in violations(world.now)]
    world.passes(MINUTE)
    assert "offboarding-step" in [found.name for found in violations(world.now)]
    for _day in range(6):
        world.run("offboard")
        assert len(world.github.hooks) == 2
        world.passes(DAY)
    world.run("offboard")
    assert customer.steps()["confirm"].startswith("given up: UnreadablePayload: ")
    assert (customer.steps()["hooks"], customer.steps()["tokens"]) == ("done", "done")
    assert (world.github.hooks, world.github.tokens) == ([], [])


def test_a_token_that_no_key_decrypts_keeps_no_other_one_alive(customer: Customers, world: World) -> None:
    colleague = UserFactory(email="colleague@example.org")
    Membership.objects.create(account=customer.account, user=colleague, role=Role.USER)
    # The first to be revoked.
    UserToken.objects.create(pk=0, user=colleague, github_user_id=7, login="lost", access=b"?", obtained_at=world.now)
    customer.leaves()
    world.run("offboard")
    assert (world.github.hooks, world.github.tokens) == ([], [])
    assert UserToken.objects.alive().get().login == "lost"
    assert customer.steps()["tokens"] == "the token of 7: no key of FIELD_ENCRYPTION_KEYS decrypts this"


def test_what_does_not_fit_into_a_turn_gets_another_one_and_no_failure_is_counted(
    customer: Customers, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer.leaves()
    monkeypatch.setattr(runner, "TURN", timedelta(0))
    monkeypatch.setattr(runner, "RUN", timedelta(seconds=0.5))
    world.run("offboard")
    assert len(world.github.hooks) == 2
    step = OffboardingStep.objects.get(kind="hooks")
    assert (step.attempts, step.last_error) == (0, "")
    assert world.now < step.next_attempt_at < world.now + timedelta(seconds=1)
    monkeypatch.undo()
    world.passes(MINUTE)
    world.run("offboard")
    assert (world.github.hooks, world.github.tokens) == ([], [])


def test_a_token_that_the_hooks_of_a_directly_paid_account_need_is_kept(customer: Customers, world: World) -> None:
    elsewhere = AccountFactory(owner=customer.owner)
    subscribe(elsewhere)
    hook_id = world.github.hook("acme/elsewhere", customer.token)
    register_hook(
        elsewhere, repository="acme/elsewhere", hook_id=hook_id, github_user_id=customer.buyer.id, at=world.now
    )
    customer.leaves()
    world.run("offboard")
    assert customer.steps()["tokens"] == "1 kept for another account of the same person"
    assert UserToken.objects.alive().count() == 1


@pytest.mark.parametrize("event", ["installation", "marketplace_purchase"])
def test_raw_bodies_that_name_the_account_or_its_people_go_with_it_whatever_they_are(
    customer: Customers, world: World, event: str
) -> None:
    """An event of another kind, and a message that could not be read."""
    payload = {"action": "created", "installation": {"account": {"id": customer.buyer.id, "login": "harbour"}}}
    unread = {"action": "changed", "marketplace_purchase": {"plan": {"id": 1}}, "sender": payload["installation"]}
    by_them = {"action": "deleted", "sender": {"id": customer.buyer.id, "login": "harbour"}}
    strangers = {"action": "created", "sender": {"id": 99, "login": "stranger"}}
    for body in (payload, unread, by_them, strangers):
        world.hears(world.github.delivery(body, event=event))
    customer.leaves()
    world.run("offboard")
    world.passes(30 * DAY - timedelta(hours=12))
    for _turn in range(3):
        world.run("purge", "offboard")
        world.passes(6 * MINUTE)
    assert not Account.objects.exists()
    bodies = [bytes(body or b"") for body in Delivery.objects.exclude(body=None).values_list("body", flat=True)]
    assert [b"stranger" in body for body in bodies] == [True]
    assert not Delivery.objects.filter(named__contains=[str(customer.buyer.id)]).exists()
