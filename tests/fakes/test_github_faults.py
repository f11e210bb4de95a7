"""The fake fails on demand, in each way that its clients must bear, and remembers what it was asked."""

import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from tests.fakes.github import Account, FakeGitHub, Token


@pytest.fixture
def buyer(github: FakeGitHub) -> Account:
    return github.account("harbour")


@pytest.fixture
def token(github: FakeGitHub, buyer: Account) -> Token:
    return github.authorize(buyer)


@pytest.fixture
def user(github: FakeGitHub, token: Token) -> Iterator[httpx.Client]:
    """Asks with the buyer's token."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=github.url, headers=headers, trust_env=False) as client:
        yield client


def test_the_next_so_many_matching_requests_fail(github: FakeGitHub, user: httpx.Client, token: Token) -> None:
    hook = github.hook("acme/site", token)
    github.fail("DELETE /repos/*/hooks/*", status=500, times=2)
    address = f"/repos/acme/site/hooks/{hook}"

    assert user.get(address).status_code == 200
    assert [user.delete(address).status_code for _ in range(4)] == [500, 500, 204, 404]
    assert [request.carried_out for request in github.requested("DELETE *")] == [False, False, True, True]


def test_a_fault_can_wait_for_its_turn(github: FakeGitHub, user: httpx.Client) -> None:
    github.fail("GET /user", status=502, skip=1)
    answers = [user.get("/user") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 502, 200]
    assert answers[1].headers["Content-Type"].startswith("text/html")


def test_a_fault_without_end_ends_when_healed(github: FakeGitHub, user: httpx.Client) -> None:
    fault = github.fail("* /user", status=503, times=None)
    assert [user.get("/user").status_code for _ in range(3)] == [503, 503, 503]
    github.heal(fault)
    assert user.get("/user").status_code == 200


def test_a_page_of_a_list_fails(github: FakeGitHub, user: httpx.Client) -> None:
    github.fail("GET /user/marketplace_purchases?*page=2*")
    assert user.get("/user/marketplace_purchases?page=1").status_code == 200
    assert user.get("/user/marketplace_purchases?page=2").status_code == 500


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "Bad credentials"),
        (403, "Resource not accessible by integration"),
        (404, "Not Found"),
        (422, "Validation Failed"),
        (429, "Too Many Requests"),
        (500, "Server Error"),
    ],
)
def test_each_status_has_githubs_words(github: FakeGitHub, user: httpx.Client, status: int, message: str) -> None:
    github.fail("GET /user", status=status)
    answer = user.get("/user")
    assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert "retry-after" not in answer.headers
    assert int(answer.headers["x-ratelimit-remaining"]) > 0


@pytest.mark.parametrize("status", [403, 429])
def test_the_two_rate_limits(github: FakeGitHub, user: httpx.Client, status: int) -> None:
    reset_at = github.now + timedelta(minutes=7)
    github.fail("GET /user", status=status, retry_after=30)
    github.fail("GET /user", status=status, reset_at=reset_at)

    secondary, primary = user.get("/user"), user.get("/user")

    assert (secondary.status_code, secondary.headers["retry-after"]) == (status, "30")
    assert "secondary rate limit" in secondary.json()["message"]
    assert (primary.status_code, primary.headers["x-ratelimit-remaining"]) == (status, "0")
    assert primary.headers["x-ratelimit-reset"] == str(int(reset_at.timestamp()))


def test_the_two_meanings_of_422(github: FakeGitHub, user: httpx.Client) -> None:
    github.fail("GET /user", status=422)
    github.fail("GET /user", status=422, spammed=True)
    codes = [user.get("/user").json()["errors"][0]["code"] for _ in range(2)]
    assert codes == ["invalid", "spammed"]


def test_a_redirect_needs_a_location(github: FakeGitHub, user: httpx.Client) -> None:
    with pytest.raises(ValueError, match="location"):
        github.fail("GET /user", status=301)
    github.fail("GET /user", status=307, location=f"{github.url}/meta")
    assert user.get("/user").headers["Location"] == f"{github.url}/meta"


def test_lists_come_back_empty_and_bodies_cut_off(github: FakeGitHub, user: httpx.Client) -> None:
    github.fail("GET /user/emails", empty=True)
    github.fail("GET /user/emails", garbled=True)
    assert user.get("/user/emails").json() == []
    garbled = user.get("/user/emails")
    assert garbled.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        garbled.json()


def test_a_body_and_headers_of_ones_own(github: FakeGitHub, user: httpx.Client) -> None:
    github.fail("GET /user", status=503, body={"message": "Short and stout"}, headers={"X-Pot": "tea"})
    answer = user.get("/user")
    assert (answer.json()["message"], answer.headers["X-Pot"]) == ("Short and stout", "tea")


def test_a_connection_is_reset_before_or_after_the_work(github: FakeGitHub, user: httpx.Client, token: Token) -> None:
    first, second = github.hook("acme/site", token), github.hook("acme/site", token)
    github.fail(f"DELETE *{first}", disconnect=True)
    github.fail(f"DELETE *{second}", disconnect=True, carried_out=True)

    for hook in (first, second):
        with pytest.raises(httpx.ReadError):
            user.delete(f"/repos/acme/site/hooks/{hook}")

    assert github.hooks == [first]
    assert [(request.carried_out, request.status) for request in github.requests] == [(False, None), (True, None)]


def test_a_connection_is_held_open(github: FakeGitHub, user: httpx.Client) -> None:
    github.fail("GET /user", hang=30)
    with pytest.raises(httpx.ReadTimeout):
        user.get("/user", timeout=0.1)
    # And whoever is more patient finds it closed in the end.
    github.fail("GET /user", hang=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        user.get("/user")


def test_a_fake_that_stops_lets_go_of_whom_it_holds() -> None:
    began = time.monotonic()
    with FakeGitHub() as github:
        github.fail("GET /meta", hang=60)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{github.url}/meta", timeout=0.1, trust_env=False)
    assert time.monotonic() - began < 10


def test_a_rate_limit_runs_dry_and_fills_again(github: FakeGitHub, user: httpx.Client) -> None:
    reset_at = github.now + timedelta(minutes=10)
    github.rate_limit(remaining=2, reset_at=reset_at)

    answers = [user.get("/user") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].headers["x-ratelimit-reset"] == str(int(reset_at.timestamp()))
    github.now = reset_at
    assert user.get("/user").headers["x-ratelimit-remaining"] == "4999"


# What was asked


def test_every_request_is_recorded(github: FakeGitHub, user: httpx.Client, token: Token) -> None:
    user.get("/user?a=1")
    httpx.get(f"{github.url}/nowhere", trust_env=False)

    first, second = github.requests
    assert (first.method, first.path, first.query, first.auth, first.status) == ("GET", "/user", "a=1", "token", 200)
    assert first.at == github.now
    assert (second.path, second.auth, second.status) == ("/nowhere", "none", 404)
    assert second.monotonic >= first.monotonic
    assert github.count() == 2
    assert github.count("GET /user") == 1
    github.forget_requests()
    assert github.requests == []


def test_what_was_done_twice_is_told(github: FakeGitHub, user: httpx.Client, token: Token) -> None:
    hook = github.hook("acme/site", token)
    address = f"/repos/acme/site/hooks/{hook}"
    github.fail("DELETE *", disconnect=True, carried_out=True)
    with pytest.raises(httpx.ReadError):
        user.delete(address)
    # The answer was lost: to ask again is right.
    assert user.delete(address).status_code == 404
    assert github.repeated() == []

    other = github.hook("acme/site", token)
    address = f"/repos/acme/site/hooks/{other}"
    assert [user.delete(address).status_code for _ in range(2)] == [204, 404]
    assert [request.path for request in github.repeated()] == [address]


def test_a_fake_can_begin_anew_at_its_address(github: FakeGitHub, buyer: Account) -> None:
    github.buy(buyer, github.listing_plan(name="Pro", monthly=900))
    github.fail("*")
    github.clear()
    assert (github.accounts, github.plans, github.deliveries, github.tokens) == ({}, {}, [], [])
    assert httpx.get(f"{github.url}/meta", trust_env=False).status_code == 200


def test_a_request_without_a_user_agent_is_forbidden(github: FakeGitHub, user: httpx.Client) -> None:
    assert user.get("/user", headers={"User-Agent": ""}).status_code == 403
