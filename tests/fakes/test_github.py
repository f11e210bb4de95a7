"""The fake GitHub's answers: who may ask what, and each held against GitHub's OpenAPI description (see conftest)."""

import time
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from tests.fakes.github import Account, FakeGitHub, Plan, Token


@pytest.fixture
def pro(github: FakeGitHub) -> Plan:
    return github.listing_plan(name="Pro", monthly=900, bullets=("Unlimited plans",))


@pytest.fixture
def buyer(github: FakeGitHub) -> Account:
    return github.account("harbour")


def bearer(token: Token | str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def app_token(github: FakeGitHub, **claims: Any) -> str:
    now = int(time.time())
    return jwt.encode(
        {"iat": now - 60, "exp": now + 540, "iss": str(github.app_id), **claims}, github.private_key, algorithm="RS256"
    )


# The listing


def test_plans_of_every_kind_are_listed(github: FakeGitHub, app: httpx.Client, pro: Plan) -> None:
    github.listing_plan(name="Free")
    github.listing_plan(name="Team", price_model="PER_UNIT", monthly=500, has_free_trial=True)
    github.retire(pro)

    plans = app.get("/marketplace_listing/plans").json()

    assert [(plan["name"], plan["number"], plan["price_model"], plan["state"]) for plan in plans] == [
        ("Pro", 1, "FLAT_RATE", "retired"),
        ("Free", 2, "FREE", "published"),
        ("Team", 3, "PER_UNIT", "published"),
    ]


def test_an_account_that_bought_nothing_is_not_found(app: httpx.Client, buyer: Account) -> None:
    assert app.get(f"/marketplace_listing/accounts/{buyer.id}").status_code == 404
    assert app.get("/marketplace_listing/accounts/1").status_code == 404


def test_a_persons_purchase(github: FakeGitHub, app: httpx.Client, pro: Plan, buyer: Account) -> None:
    github.buy(buyer, pro)

    answer = app.get(f"/marketplace_listing/accounts/{buyer.id}").json()

    assert answer["email"] == "harbour@mail.example"
    assert "organization_billing_email" not in answer
    assert answer["marketplace_pending_change"] is None
    purchase = answer["marketplace_purchase"]
    assert purchase["plan"]["id"] == pro.id
    assert purchase["next_billing_date"] == "2026-04-01T00:00:00Z"
    assert purchase["updated_at"] == "2026-03-02T09:30:00Z"


def test_an_organisations_trial_with_a_scheduled_cancellation(
    github: FakeGitHub, app: httpx.Client, pro: Plan, buyer: Account
) -> None:
    company = github.account("northwind", type="Organization", admins=[buyer])
    github.install(company)
    github.buy(company, pro, trial_ends=github.now + timedelta(days=14))
    github.schedule_change(company, None)

    answer = app.get(f"/marketplace_listing/accounts/{company.id}").json()

    assert answer["organization_billing_email"] == "northwind@mail.example"
    assert "email" not in answer
    assert answer["marketplace_purchase"]["is_installed"] is True
    assert answer["marketplace_purchase"]["free_trial_ends_on"] == "2026-03-16T00:00:00.000Z"
    assert answer["marketplace_pending_change"]["effective_date"] == "2026-04-01T07:00:00Z"
    assert answer["marketplace_pending_change"]["unit_count"] == 0


def test_a_scheduled_downgrade_names_its_plan(github: FakeGitHub, app: httpx.Client, pro: Plan, buyer: Account) -> None:
    free = github.listing_plan(name="Free")
    github.buy(buyer, pro)
    github.schedule_change(buyer, free)

    answer = app.get(f"/marketplace_listing/accounts/{buyer.id}").json()
    assert answer["marketplace_pending_change"]["plan"]["name"] == "Free"
    assert answer["marketplace_purchase"]["plan"]["name"] == "Pro"

    github.apply_pending(buyer)
    answer = app.get(f"/marketplace_listing/accounts/{buyer.id}").json()
    assert answer["marketplace_pending_change"] is None
    assert answer["marketplace_purchase"]["plan"]["name"] == "Free"
    assert answer["marketplace_purchase"]["next_billing_date"] is None


def test_a_cancelled_account_is_not_found_and_not_listed(
    github: FakeGitHub, app: httpx.Client, pro: Plan, buyer: Account
) -> None:
    github.buy(buyer, pro)
    github.cancel(buyer)

    assert app.get(f"/marketplace_listing/accounts/{buyer.id}").status_code == 404
    assert app.get(f"/marketplace_listing/plans/{pro.id}/accounts").json() == []


def test_a_stale_read_answers_with_the_state_before(
    github: FakeGitHub, app: httpx.Client, pro: Plan, buyer: Account
) -> None:
    github.buy(buyer, pro)
    github.cancel(buyer)
    github.stale(buyer, reads=2)

    address = f"/marketplace_listing/accounts/{buyer.id}"
    assert [app.get(address).status_code for _ in range(3)] == [200, 200, 404]


def test_the_accounts_of_a_plan_come_in_pages(github: FakeGitHub, app: httpx.Client, pro: Plan) -> None:
    for number in range(5):
        github.buy(github.account(f"buyer-{number}"), pro)

    address: str | None = f"/marketplace_listing/plans/{pro.id}/accounts?per_page=2"
    logins, links = [], []
    while address:
        answer = app.get(address)
        logins.append([account["login"] for account in answer.json()])
        links.append(sorted(name for name in answer.links if name))
        address = answer.links.get("next", {}).get("url")

    assert logins == [["buyer-0", "buyer-1"], ["buyer-2", "buyer-3"], ["buyer-4"]]
    assert links == [["last", "next"], ["first", "last", "next", "prev"], ["first", "prev"]]
    assert app.get(f"/marketplace_listing/plans/{pro.id}/accounts?per_page=2&page=9").json() == []


def test_accounts_are_sorted_by_their_latest_change(github: FakeGitHub, app: httpx.Client, pro: Plan) -> None:
    first, second = github.account("first"), github.account("second")
    github.buy(first, pro)
    github.buy(second, pro)
    github.now += timedelta(hours=1)
    github.change(first, unit_count=2)

    def logins(arguments: str) -> list[str]:
        answer = app.get(f"/marketplace_listing/plans/{pro.id}/accounts?{arguments}")
        return [account["login"] for account in answer.json()]

    assert logins("sort=updated&direction=desc") == ["first", "second"]
    assert logins("sort=updated&direction=asc") == ["second", "first"]
    assert app.get(f"/marketplace_listing/plans/{pro.id}/accounts?sort=login").status_code == 422
    assert app.get("/marketplace_listing/plans/1/accounts").status_code == 404


def test_the_stubbed_endpoints_always_answer_the_same(app: httpx.Client, github: FakeGitHub, buyer: Account) -> None:
    assert len(app.get("/marketplace_listing/stubbed/plans").json()) == 2
    assert len(app.get("/marketplace_listing/stubbed/plans/1/accounts").json()) == 1
    assert app.get("/marketplace_listing/stubbed/accounts/1").json()["login"] == "stubbed-organization"
    app.auth = httpx.Auth()
    mine = app.get("/user/marketplace_purchases/stubbed", headers=bearer(github.authorize(buyer))).json()
    assert mine[0]["plan"]["name"] == "Pro"
    assert app.get("/marketplace_listing/stubbed/plans").status_code == 401


# Who asks


def test_the_listing_is_read_with_a_jwt_too(github: FakeGitHub, rest: httpx.Client) -> None:
    assert rest.get("/marketplace_listing/plans", headers=bearer(app_token(github))).status_code == 200
    assert [request.auth for request in github.requests] == ["jwt"]


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": 9_999_999_999}, {"iat": 9_999_999_999}, {"iss": "1"}, {"exp": "soon"}],
    ids=["expired", "lives too long", "from the future", "another app", "no number"],
)
def test_a_wrong_jwt_is_refused(github: FakeGitHub, rest: httpx.Client, claims: dict[str, Any]) -> None:
    answer = rest.get("/marketplace_listing/plans", headers=bearer(app_token(github, **claims)))
    assert answer.status_code == 401


def test_a_jwt_signed_by_another_key_is_refused(github: FakeGitHub, rest: httpx.Client) -> None:
    head, claims, signature = app_token(github).split(".")
    altered = f"{head}.{claims}.{'A' * len(signature)}"
    assert rest.get("/marketplace_listing/plans", headers=bearer(altered)).status_code == 401


def test_wrong_credentials_are_refused_everywhere(github: FakeGitHub, rest: httpx.Client, buyer: Account) -> None:
    nobody = httpx.Auth()
    for auth in (nobody, (github.client_id, "wrong"), ("wrong", github.client_secret)):
        rest.auth = auth
        assert rest.get("/marketplace_listing/plans").status_code == 401
        assert rest.get(f"/marketplace_listing/accounts/{buyer.id}").status_code == 401
        assert rest.post(f"/applications/{github.client_id}/token", json={"access_token": "a"}).status_code == 401
    rest.auth = nobody
    assert rest.get("/user").status_code == 401
    assert rest.get("/user", headers=bearer("gho_unknown")).status_code == 401
    assert rest.get("/user/marketplace_purchases", headers=bearer("gho_unknown")).status_code == 401


# A person's token


def test_a_person_sees_their_own_purchases_and_those_of_organisations_they_administer(
    github: FakeGitHub, rest: httpx.Client, pro: Plan, buyer: Account
) -> None:
    company = github.account("northwind", type="Organization", admins=[buyer])
    github.buy(buyer, pro)
    github.buy(company, pro, trial_ends=github.now + timedelta(days=14))
    github.buy(github.account("somebody-else"), pro)

    purchases = rest.get("/user/marketplace_purchases", headers=bearer(github.authorize(buyer))).json()

    assert [purchase["account"]["login"] for purchase in purchases] == ["harbour", "northwind"]


def test_who_a_token_belongs_to(github: FakeGitHub, rest: httpx.Client, buyer: Account) -> None:
    token = github.authorize(buyer, scopes=["user:email"])
    assert rest.get("/user", headers=bearer(token)).json()["id"] == buyer.id
    assert rest.get("/user/emails", headers=bearer(token)).json()[0]["email"] == "harbour@mail.example"
    # django-allauth asks below /api/v3.
    assert httpx.get(f"{github.url}/api/v3/user", headers=bearer(token)).json()["login"] == "harbour"


def test_emails_need_their_scope(github: FakeGitHub, rest: httpx.Client, buyer: Account) -> None:
    token = github.authorize(buyer, scopes=["read:org"])
    assert rest.get("/user/emails", headers=bearer(token)).status_code == 404


def test_the_eleventh_token_kills_the_first(github: FakeGitHub, buyer: Account) -> None:
    tokens = [github.authorize(buyer) for _ in range(11)]
    assert github.tokens == tokens[1:]


# The app's tokens


def test_a_token_is_checked_and_deleted(github: FakeGitHub, app: httpx.Client, buyer: Account) -> None:
    token, other = github.authorize(buyer), github.authorize(buyer)
    address, body = f"/applications/{github.client_id}/token", {"access_token": token.value}

    assert app.post(address, json=body).json()["user"]["login"] == "harbour"
    assert app.request("DELETE", address, json=body).status_code == 204
    assert app.post(address, json=body).status_code == 404
    assert github.tokens == [other]
    assert github.grants == [buyer]


@pytest.mark.parametrize("status", [204, 404, 422])
def test_an_unknown_token_is_answered_as_configured(github: FakeGitHub, app: httpx.Client, status: Any) -> None:
    github.unknown_token_status = status
    address = f"/applications/{github.client_id}/token"
    assert app.request("DELETE", address, json={"access_token": "gho_unknown"}).status_code == status


def test_deleting_the_grant_kills_every_token_of_that_person(
    github: FakeGitHub, app: httpx.Client, buyer: Account
) -> None:
    token = github.authorize(buyer)
    github.authorize(buyer)
    others = github.authorize(github.account("somebody-else"))
    address = f"/applications/{github.client_id}/grant"

    assert app.request("DELETE", address, json={"access_token": "gho_unknown"}).status_code == 422
    assert app.request("DELETE", address, json={}).status_code == 422
    assert app.request("DELETE", address, json={"access_token": token.value}).status_code == 204
    assert github.tokens == [others]
    assert buyer not in github.grants


def test_another_applications_tokens_are_not_ours(github: FakeGitHub, app: httpx.Client) -> None:
    assert app.post("/applications/Iv1.another/token", json={"access_token": "gho_unknown"}).status_code == 404


def test_an_app_is_uninstalled_once(github: FakeGitHub, rest: httpx.Client, buyer: Account) -> None:
    installation = github.install(buyer)
    headers = bearer(app_token(github))
    assert rest.delete(f"/app/installations/{installation}", headers=headers).status_code == 204
    assert rest.delete(f"/app/installations/{installation}", headers=headers).status_code == 404
    assert not github.is_installed(buyer)


def test_the_addresses_of_hooks(rest: httpx.Client) -> None:
    assert "127.0.0.1/32" in rest.get("/meta").json()["hooks"]


# Hooks of repositories


def test_a_hook_is_listed_and_deleted_once(github: FakeGitHub, rest: httpx.Client, buyer: Account) -> None:
    token = github.authorize(buyer)
    hook, other = github.hook("acme/site", token), github.hook("acme/site", token)
    address, headers = f"/repos/Acme/Site/hooks/{hook}", bearer(token)

    assert [each["id"] for each in rest.get("/repos/acme/site/hooks", headers=headers).json()] == [hook, other]
    assert rest.get(address, headers=headers).json()["id"] == hook
    assert rest.delete(address, headers=headers).status_code == 204
    assert rest.delete(address, headers=headers).status_code == 404
    assert rest.get(address, headers=headers).status_code == 404
    assert github.hooks == [other]


def test_a_hook_needs_a_living_token_with_the_right_to_delete_it(
    github: FakeGitHub, rest: httpx.Client, buyer: Account
) -> None:
    token = github.authorize(buyer)
    hook = github.hook("acme/site", token)
    stranger = github.authorize(github.account("stranger"))
    writer = github.authorize(buyer, scopes=["write:repo_hook"])
    address = f"/repos/acme/site/hooks/{hook}"

    # Whoever may not see a thing is told that it isn't there; who says a wrong password hears that.
    assert rest.delete(address).status_code == 404
    assert rest.delete(address, headers=bearer(stranger)).status_code == 404
    assert rest.delete(address, headers=bearer(writer)).status_code == 404
    assert rest.get(address, headers=bearer(writer)).status_code == 200
    github.revoke(token)
    assert rest.delete(address, headers=bearer(token)).status_code == 401
    assert github.hooks == [hook]


@pytest.mark.parametrize("status", [301, 307])
def test_a_renamed_repository_redirects(github: FakeGitHub, rest: httpx.Client, buyer: Account, status: Any) -> None:
    token = github.authorize(buyer)
    hook = github.hook("acme/site", token)
    repository = github.repository("acme/site")
    github.moved_status = status
    github.rename_repository("acme/site", "web")
    github.rename(repository.owner, "acme-inc")
    address = f"/repos/acme/site/hooks/{hook}"

    answer = rest.delete(address, headers=bearer(token))
    assert (answer.status_code, answer.headers["Location"]) == (
        status,
        f"{github.url}/repositories/{repository.id}/hooks/{hook}",
    )
    assert github.hooks == [hook]
    assert rest.delete(address, headers=bearer(token), follow_redirects=True).status_code == 204
    assert github.hooks == []


def test_a_deleted_repository_is_gone_with_its_hooks(github: FakeGitHub, rest: httpx.Client, buyer: Account) -> None:
    token = github.authorize(buyer)
    hook = github.hook("acme/site", token)
    github.delete_repository("acme/site")
    assert rest.delete(f"/repos/acme/site/hooks/{hook}", headers=bearer(token)).status_code == 404
    assert github.hooks == []
