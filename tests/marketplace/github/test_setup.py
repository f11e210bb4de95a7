"""Signing in with GitHub, landing after a purchase, and what a deactivated account looks like from inside."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts.core import clock
from accounts.core.encryption import Undecipherable
from accounts.models import Account, Membership, Role, User
from accounts.models import Delivery as StoredDelivery
from marketplace.github import tokens
from marketplace.github.customer import GitHubCustomer
from marketplace.github.tokens import UserToken
from marketplace.models import Offboarding, RepositoryHook
from tests.factories import NOW, AccountFactory
from tests.fakes.github import Delivery, FakeGitHub
from tests.marketplace.conftest import World
from tests.pages import press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SETUP = "/marketplace/github/setup/"
TOKEN = {"Authorization": "Bearer test-api-token"}


@pytest.fixture
def sign_in_with_github(github: FakeGitHub, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    """allauth knows its provider's addresses from the start of the process; point them at the fake."""
    settings.SOCIALACCOUNT_PROVIDERS = {
        "github": {
            "SCOPE": ["user:email"],
            "APPS": [{"client_id": github.client_id, "secret": github.client_secret}],
        }
    }
    for name, address in {
        "access_token_url": f"{github.web_url}/login/oauth/access_token",
        "authorize_url": f"{github.web_url}/login/oauth/authorize",
        "profile_url": f"{github.url}/user",
        "emails_url": f"{github.url}/user/emails",
    }.items():
        monkeypatch.setattr(GitHubOAuth2Adapter, name, address)
    return github


def through_github(client: Client, path: str) -> Any:
    """Press the button, let GitHub send the browser back."""
    import httpx

    there = client.post(path)["Location"]
    back = httpx.get(there, follow_redirects=False).headers["location"]
    parts = urlsplit(back)
    return client.get(f"{parts.path}?{parts.query}", follow=True)


def test_a_buyer_signs_in_with_github_and_becomes_the_owner_of_what_was_bought(
    sign_in_with_github: FakeGitHub, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    github = sign_in_with_github
    buyer = github.account(login="harbour", email="harbour@example.org")
    world.hears(github.buy(buyer, github.listing_plan(name="Pro", monthly=900)))
    github.signing_in = buyer
    client = Client()
    with caplog.at_level(logging.DEBUG):
        through_github(client, "/auth/github/login/?next=" + SETUP)
        page = client.get(SETUP + "?marketplace_listing_plan_id=999&installation_id=42").content.decode()
        answer = press(client, SETUP, follow=True)
    assert "authorised at GitHub as harbour" in page
    account = world.account_of(buyer)
    assert f"Linked: {account.name}." in answer.content.decode()
    owner = account.owner()
    assert owner is not None
    assert owner.email == "harbour@example.org"
    (secret,) = github.tokens
    assert UserToken.objects.get().text() == secret.value
    assert secret.value not in caplog.text
    assert secret.value not in page + answer.content.decode()
    assert secret.value not in whole_database()


def whole_database() -> str:
    """Everything that stands in any table, as text."""
    with connection.cursor() as cursor:
        texts = []
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # names of our own tables
            texts.append(str(cursor.fetchall()))
    return "".join(texts)


def test_one_person_links_a_personal_account_and_an_organisation(sign_in_with_github: FakeGitHub, world: World) -> None:
    github = sign_in_with_github
    person = github.account(login="olga", email="olga@example.org")
    crew = github.account(login="crew", type="Organization", admins=[person])
    plan = github.listing_plan(name="Pro", monthly=900)
    github.buy(person, plan)
    # Only one of the two webhooks has come; the other is read from GitHub's answer.
    world.hears(github.buy(crew, plan))
    github.signing_in = person
    client = Client()
    through_github(client, "/auth/github/login/")
    press(client, SETUP)
    user = User.objects.get(email="olga@example.org")
    assert {place.account.name: place.role for place in user.memberships.all()} == {"olga": "owner", "crew": "owner"}


def test_the_second_person_of_an_organisation_becomes_an_administrator(
    sign_in_with_github: FakeGitHub, world: World
) -> None:
    github = sign_in_with_github
    people = [github.account(login=name, email=f"{name}@example.org") for name in ("first", "second")]
    crew = github.account(login="crew", type="Organization", admins=people)
    world.hears(github.buy(crew, github.listing_plan(name="Pro", monthly=900)))
    for person in people:
        github.signing_in = person
        client = Client()
        through_github(client, "/auth/github/login/")
        press(client, SETUP)
    assert list(world.account_of(crew).memberships.order_by("id").values_list("role", flat=True)) == ["owner", "admin"]


def test_when_github_does_not_answer_nothing_is_linked_and_the_buyer_is_told(
    world: World, owner: User, sign_in: SignIn
) -> None:
    token = world.github.authorize(world.github.account(login="olga"))
    keep_token(owner, token.value)
    world.github.fail("GET /user/marketplace_purchases", status=502)
    assert "GitHub did not answer" in press(sign_in(owner), SETUP, follow=True).content.decode()
    assert not GitHubCustomer.objects.exists()


def keep_token(user: User, text: str, github_user_id: int = 5) -> UserToken:
    return tokens.keep(
        user,
        github_user_id=github_user_id,
        login="olga",
        access=text,
        refresh="",
        scopes="",
        expires_at=None,
        at=NOW,
    )


def test_keys_are_rotated_by_putting_a_new_one_in_front(owner: User, settings: Settings) -> None:
    old, new = settings.FIELD_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    token = keep_token(owner, "gho_secret")
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    assert token.text() == "gho_secret"
    keep_token(owner, "gho_newer")
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert UserToken.objects.get().text() == "gho_newer"
    settings.FIELD_ENCRYPTION_KEYS = [old]
    with pytest.raises(Undecipherable):
        UserToken.objects.get().text()


def test_a_deactivated_account_says_why_and_until_when_it_can_come_back(world: World, sign_in: SignIn) -> None:
    buyer = world.github.account(login="harbour")
    world.now = world.github.now = clock.now()
    world.hears(world.github.buy(buyer, world.github.listing_plan(name="Pro", monthly=900)))
    account = world.account_of(buyer)
    member = User.objects.create_user("olga@example.org")
    Membership.objects.create(account=account, user=member, role=Role.OWNER)
    world.hears(world.github.cancel(buyer))
    client = sign_in(member)
    for path in ("/", "/user/subscription/", "/connections/"):
        response = client.get(path)
        assert response.status_code == 403
        assert "harbour is deactivated" in response.content.decode()
    until = Offboarding.objects.get().deadline_at - timedelta(hours=12)
    assert f'datetime="{until:%Y-%m-%dT%H:%M:%SZ}"' in response.content.decode()
    answer = Client().get(f"/api/accounts/{account.pk}/entitlements/", headers=TOKEN).json()
    assert (answer["active"], answer["features"]) == (False, [])
    assert client.get("/user/preferences/").status_code == 200


def test_after_a_downgrade_the_owner_can_choose_to_stay(world: World, sign_in: SignIn, settings: Settings) -> None:
    settings.GITHUB_CANCELLATION = "downgrade"
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, world.github.listing_plan(name="Pro", monthly=900)))
    member = User.objects.create_user("olga@example.org")
    Membership.objects.create(account=world.account_of(buyer), user=member, role=Role.OWNER)
    world.hears(world.github.cancel(buyer))
    client = sign_in(member)
    page = client.get("/user/subscription/").content.decode()
    assert "Stay on Free, keep my data" in page
    assert (
        "You stay on Free"
        in press(client, "/user/subscription/", "/marketplace/github/stay/", follow=True).content.decode()
    )
    assert Offboarding.objects.get().called_off_because == "chose_free"


def put_hook(account: Account, body: object, method: str = "PUT") -> Any:
    return Client().generic(
        method,
        f"/api/accounts/{account.pk}/github-hooks/",
        body if isinstance(body, bytes) else json.dumps(body),
        content_type="application/json",
        headers=TOKEN,
    )


def test_the_product_registers_and_removes_the_hooks_that_it_makes(account: Account) -> None:
    body = {"repository": "acme/site", "hook_id": 12, "github_user_id": 5}
    assert [put_hook(account, body).status_code for _time in range(2)] == [201, 200]
    hook = RepositoryHook.objects.get()
    assert (hook.repository, hook.hook_id, hook.github_user_id) == ("acme/site", 12, 5)
    assert put_hook(account, body, "DELETE").status_code == 200
    assert put_hook(account, body, "DELETE").status_code == 404
    assert not RepositoryHook.objects.remaining().exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ([], 422),
        ({"repository": "acme", "hook_id": 1}, 422),
        ({"repository": "acme/../../user", "hook_id": 1}, 422),
        ({"repository": "acme/..", "hook_id": 1}, 422),
        ({"repository": "acme/site?x=1", "hook_id": 1}, 422),
        ({"repository": "acme/site", "hook_id": "1"}, 422),
        ({"repository": "acme/site", "hook_id": True}, 422),
        ({"repository": "acme/site", "hook_id": 2**63}, 422),
        ({"repository": "acme/site", "hook_id": 1, "github_user_id": "olga"}, 422),
        (b" " * 10_001, 413),
    ],
)
def test_a_hook_that_makes_no_sense_is_refused(account: Account, body: object, status: int) -> None:
    assert put_hook(account, body).status_code == status
    assert not RepositoryHook.objects.exists()


def test_a_hook_belongs_to_one_account(account: Account) -> None:
    body = {"repository": "acme/site", "hook_id": 12}
    put_hook(account, body)
    assert put_hook(AccountFactory(), body).status_code == 422
    assert RepositoryHook.objects.get().account == account


def test_the_settings_of_a_customer_show_what_github_has_announced(world: World, sign_in: SignIn) -> None:
    small, large = (world.github.listing_plan(name=name, monthly=price) for name, price in (("S", 500), ("L", 1500)))
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, large))
    world.hears(world.github.schedule_change(buyer, small))
    world.run("github-check")
    member = User.objects.create_user("olga@example.org")
    Membership.objects.create(account=world.account_of(buyer), user=member, role=Role.OWNER)
    page = sign_in(member).get("/user/subscription/").content.decode()
    assert "A change at GitHub is pending: to S on" in page


def test_a_purchase_that_can_not_be_linked_is_no_500_and_holds_up_no_other(
    sign_in_with_github: FakeGitHub, world: World
) -> None:
    github = sign_in_with_github
    person = github.account(login="olga", email="olga@example.org")
    crew = github.account(login="crew", type="Organization", admins=[person])
    plan = github.listing_plan(name="Pro", monthly=900)
    github.buy(person, plan, unit_count=66)
    github.signing_in = person
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE marketplace_customer ADD CONSTRAINT never_66 CHECK (seats <> 66)")
    client = Client()
    through_github(client, "/auth/github/login/")
    answer = press(client, SETUP, follow=True)
    assert answer.status_code == 200
    assert "Your purchase could not be linked." in answer.content.decode()
    github.buy(crew, plan)
    assert "Linked: crew." in press(client, SETUP, follow=True).content.decode()


# Who comes late, and who takes the authorisation back


def test_who_bought_before_ever_signing_in_finds_the_account_at_the_first_sign_in(
    sign_in_with_github: FakeGitHub, world: World
) -> None:
    github = sign_in_with_github
    buyer = github.account(login="harbour", email="harbour@example.org")
    world.hears(github.buy(buyer, github.listing_plan(name="Pro", monthly=900)))
    github.signing_in = buyer
    client = Client()
    through_github(client, "/auth/github/login/")
    assert client.get("/").status_code == 200
    owner = world.account_of(buyer).owner()
    assert owner is not None
    assert owner.email == "harbour@example.org"


def test_who_signed_up_first_and_bought_then_finds_it_at_the_next_sign_in(
    sign_in_with_github: FakeGitHub, world: World
) -> None:
    github = sign_in_with_github
    buyer = github.account(login="harbour", email="harbour@example.org")
    github.signing_in = buyer
    client = Client()
    through_github(client, "/auth/github/login/")
    nowhere = client.get("/")
    assert nowhere.status_code == 403
    assert SETUP in nowhere.content.decode()
    world.hears(github.buy(buyer, github.listing_plan(name="Pro", monthly=900)))
    client = Client()
    through_github(client, "/auth/github/login/")
    assert client.get("/").status_code == 200


def test_a_sign_in_does_not_fail_with_github(sign_in_with_github: FakeGitHub, world: World) -> None:
    github = sign_in_with_github
    github.signing_in = github.account(login="harbour", email="harbour@example.org")
    github.fail("GET /user/marketplace_purchases", status=502, times=9)
    client = Client()
    through_github(client, "/auth/github/login/")
    assert UserToken.objects.alive().count() == 1
    assert client.get("/").status_code == 403


def test_signing_in_with_github_again_is_an_authorisation(sign_in_with_github: FakeGitHub, world: World) -> None:
    github = sign_in_with_github
    buyer = github.account(login="harbour", email="harbour@example.org")
    world.hears(github.buy(buyer, github.listing_plan(name="Pro", monthly=900)))
    github.signing_in = buyer
    through_github(Client(), "/auth/github/login/")
    GitHubCustomer.objects.update(authorisation_needed_at=NOW)
    client = Client()
    through_github(client, "/auth/github/login/")
    assert GitHubCustomer.objects.get().authorisation_needed_at is None
    assert "please authorise us again" not in client.get("/user/subscription/").content.decode()


@pytest.fixture
def authorised(world: World, owner: User) -> UserToken:
    """The owner of a customer, with a token that GitHub knows."""
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, world.github.listing_plan(name="Pro", monthly=900)))
    Membership.objects.create(account=world.account_of(buyer), user=owner, role=Role.OWNER)
    return keep_token(owner, world.github.authorize(buyer).value, github_user_id=buyer.id)


def revoked(world: World, github_user_id: int) -> Delivery:
    sender = {"id": github_user_id, "login": "harbour", "type": "User"}
    return world.github.delivery({"action": "revoked", "sender": sender}, event="github_app_authorization")


def test_a_revoked_authorisation_is_forgotten_once_github_confirms_it(world: World, authorised: UserToken) -> None:
    (known,) = world.github.tokens
    world.github.revoke(known)
    message = revoked(world, authorised.github_user_id)
    world.hears(message)
    assert StoredDelivery.objects.get(delivery_id=message.guid).outcome == "asked"
    world.run("github-check")
    authorised.refresh_from_db()
    assert (authorised.access, authorised.revoked_at) == (None, world.now)
    assert GitHubCustomer.objects.get().authorisation_needed_at == world.now


def test_a_captured_revocation_forgets_no_token_that_is_good(world: World, authorised: UserToken) -> None:
    world.hears(revoked(world, authorised.github_user_id))
    world.run("github-check")
    authorised.refresh_from_db()
    assert (authorised.access is not None, authorised.revocation_said_at) == (True, None)


def test_without_credentials_a_revocation_is_believed(world: World, authorised: UserToken, settings: Settings) -> None:
    settings.GITHUB_CLIENT_SECRET = ""
    world.hears(revoked(world, authorised.github_user_id))
    authorised.refresh_from_db()
    assert authorised.access is None
