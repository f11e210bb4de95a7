"""Signing in with the fake GitHub, and playing it by hand."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.fakes.github import Account, FakeGitHub
from tests.fakes.github.__main__ import environment

CALLBACK = "http://testserver/auth/github/login/callback/"


@pytest.fixture
def buyer(github: FakeGitHub) -> Account:
    return github.account("harbour")


@pytest.fixture
def browser(github: FakeGitHub) -> Iterator[httpx.Client]:
    headers = {"Accept": "application/json"}
    with httpx.Client(base_url=github.web_url, headers=headers, trust_env=False) as client:
        yield client


def authorize(browser: httpx.Client, github: FakeGitHub, **arguments: str) -> httpx.Response:
    asked = {"client_id": github.client_id, "redirect_uri": CALLBACK, "state": "abc", "scope": "user:email,repo"}
    return browser.get("/login/oauth/authorize", params={**asked, **arguments})


def token_for(browser: httpx.Client, github: FakeGitHub, **arguments: str) -> dict[str, Any]:
    credentials = {"client_id": github.client_id, "client_secret": github.client_secret}
    answer = browser.post("/login/oauth/access_token", data={**credentials, **arguments})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def code_in(answer: httpx.Response) -> str:
    assert answer.status_code == 302
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def test_a_person_comes_back_with_a_code_for_one_token(
    github: FakeGitHub, browser: httpx.Client, buyer: Account
) -> None:
    github.signing_in = buyer
    answer = authorize(browser, github)
    assert answer.headers["Location"].startswith(f"{CALLBACK}?code=")
    assert answer.headers["Location"].endswith("&state=abc")

    code = code_in(answer)
    granted = token_for(browser, github, code=code)

    assert granted == {"access_token": github.tokens[0].value, "scope": "user:email,repo", "token_type": "bearer"}
    assert granted["access_token"].startswith("gho_")
    assert token_for(browser, github, code=code) == {"error": "bad_verification_code"}


def test_a_github_app_gets_a_token_that_expires_and_can_be_renewed_once(
    github: FakeGitHub, browser: httpx.Client, buyer: Account
) -> None:
    github.app_kind, github.signing_in = "github_app", buyer
    first = token_for(browser, github, code=code_in(authorize(browser, github)))
    assert first["access_token"].startswith("ghu_")
    assert first["expires_in"] == 28_800

    github.now += timedelta(hours=8)
    assert github.tokens == []
    renewal = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = token_for(browser, github, **renewal)
    assert [token.value for token in github.tokens] == [second["access_token"]]
    assert token_for(browser, github, **renewal) == {"error": "bad_refresh_token"}


def test_a_person_may_refuse(github: FakeGitHub, browser: httpx.Client) -> None:
    github.denies_sign_in = True
    assert authorize(browser, github).headers["Location"] == f"{CALLBACK}?error=access_denied&state=abc"


def test_the_page_asks_who_it_is(github: FakeGitHub, browser: httpx.Client, buyer: Account) -> None:
    page = authorize(browser, github)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "harbour" in page.text
    token_for(browser, github, code=code_in(authorize(browser, github, login="harbour")))
    assert github.tokens[0].user is buyer


def test_strangers_get_nothing(github: FakeGitHub, browser: httpx.Client, buyer: Account) -> None:
    github.signing_in = buyer
    assert authorize(browser, github, client_id="another").status_code == 404
    assert authorize(browser, github, redirect_uri="http://elsewhere.example/").status_code == 422
    assert token_for(browser, github, client_secret="wrong") == {"error": "incorrect_client_credentials"}


def test_whoever_does_not_ask_for_json_gets_a_form(github: FakeGitHub, browser: httpx.Client) -> None:
    answer = browser.post("/login/oauth/access_token", data={}, headers={"Accept": "*/*"})
    assert answer.text == "error=incorrect_client_credentials"


# By hand


def test_a_life_by_hand(github: FakeGitHub, browser: httpx.Client) -> None:
    def do(verb: str, **arguments: object) -> httpx.Response:
        # As curl -d sends it: JSON that calls itself a form.
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return browser.post(f"/_control/{verb}", json=arguments, headers=headers)

    assert do("account", login="harbour").json()["result"]["login"] == "harbour"
    do("listing_plan", name="Pro", monthly=900)
    assert do("buy", account="harbour", plan="Pro", trial_ends="2026-03-16").json()["result"]["action"] == "purchased"
    token = do("authorize", user="harbour", scopes=["repo"]).json()["result"]["token"]
    hook = do("hook", repo="acme/site", token=token).json()["result"]
    do("now", now="2026-03-20T10:00:00+00:00")

    state = browser.get("/_control/state").json()
    assert state["now"] == "2026-03-20T10:00:00+00:00"
    assert state["purchases"][0]["marketplace_purchase"]["on_free_trial"] is True
    assert state["tokens"] == [{"token": token, "user": "harbour", "scopes": ["repo"]}]
    assert state["repositories"] == [{"full_name": "acme/site", "hooks": [hook]}]

    assert do("cancel", account="harbour").status_code == 200
    assert browser.get("/_control/state").json()["purchases"] == []
    assert github.requests == []


def test_a_mistake_by_hand_is_explained(browser: httpx.Client) -> None:
    answer = browser.post("/_control/cancel", json={"account": "nobody"})
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "No account nobody: POST /_control/account first",
    )
    assert "There are: account, apply_pending" in browser.post("/_control/explode", json={}).json()["message"]
    assert browser.post("/_control/cancel", json={"acount": "harbour"}).status_code == 400


def test_the_products_settings_are_printed(github: FakeGitHub) -> None:
    assert environment(github)["GITHUB_API_URL"] == github.url
    assert "GITHUB_PRIVATE_KEY" not in environment(github)
    github.app_kind = "github_app"
    assert environment(github)["GITHUB_APP_ID"] == str(github.app_id)
