"""The web side: where a browser authorises the app, and where the app fetches the token."""

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.fakes.github.applications import TOKEN_LIFE
from tests.fakes.github.calls import Answer, Call, Endpoints, Refused
from tests.fakes.github.state import Token

if TYPE_CHECKING:
    from tests.fakes.github.fake import FakeGitHub

endpoints = Endpoints()


@endpoints.at("GET", "/login/oauth/authorize")
def authorize(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    """Straight back to the app with a code for `github.signing_in`; if nobody is set, a page asks who it is."""
    if call.argument("client_id") != github.client_id:
        raise Refused(404, "Not Found")
    back = call.argument("redirect_uri")
    if urlsplit(back).hostname not in ("127.0.0.1", "localhost", "testserver"):
        raise Refused(422, "The redirect_uri is not associated with this application.")
    state = {"state": call.argument("state")} if call.argument("state") else {}
    if github.denies_sign_in:
        return _redirect(back, {"error": "access_denied", **state})
    person = github.account_named(call.argument("login")) or github.signing_in
    if not person:
        return Answer(200, _who_is_it(github, call), {"Content-Type": "text/html; charset=utf-8"})
    scopes = tuple(call.argument("scope").replace(",", " ").split())
    return _redirect(back, {"code": github.code_for(person, scopes), **state})


@endpoints.at("POST", "/login/oauth/access_token")
def access_token(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    """Its refusals are answers too: 200 with an `error`."""
    given = call.body if isinstance(call.body, dict) else {}
    if (given.get("client_id"), given.get("client_secret")) != (github.client_id, github.client_secret):
        return _as_asked(call, {"error": "incorrect_client_credentials"})
    if given.get("grant_type") == "refresh_token":
        token = github.refresh(given.get("refresh_token", ""))
        return _as_asked(call, _granted(token) if token else {"error": "bad_refresh_token"})
    token = github.redeem(given.get("code", ""))
    return _as_asked(call, _granted(token) if token else {"error": "bad_verification_code"})


def _granted(token: Token) -> dict[str, str | int]:
    body: dict[str, str | int] = {
        "access_token": token.value,
        "scope": ",".join(token.scopes),
        "token_type": "bearer",
    }
    if token.refresh_token and token.refresh_expires_at:
        body |= {
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "refresh_token": token.refresh_token,
            "refresh_token_expires_in": int((token.refresh_expires_at - token.created_at).total_seconds()),
        }
    return body


def _as_asked(call: Call, body: dict[str, str | int]) -> Answer:
    if "json" in call.accept:
        return Answer(200, body)
    return Answer(200, urlencode(body), {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})


def _redirect(back: str, arguments: dict[str, str]) -> Answer:
    return Answer(302, "", {"Location": f"{back}{'&' if urlsplit(back).query else '?'}{urlencode(arguments)}"})


def _who_is_it(github: "FakeGitHub", call: Call) -> str:
    kept = {name: values[-1] for name, values in parse_qs(call.query).items()}
    people = [account for account in github.accounts.values() if not account.is_organization]
    items = "".join(
        f'<li><a href="?{escape(urlencode({**kept, "login": person.login}))}">{escape(person.login)}</a></li>'
        for person in people
    )
    return f"<!doctype html><title>Fake GitHub</title><h1>Who are you?</h1><ul>{items or '<li>nobody yet</li>'}</ul>"
