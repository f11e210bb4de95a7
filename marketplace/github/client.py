"""GitHub's REST API: the calls we make, and what each answer means (facts/github-marketplace, 4.1).

githubkit signs in (a JWT for a GitHub App, Basic for an OAuth app, a user's token); retrying is ours, because its own
sleeps in the worker for up to an hour. Every call is made outside of transactions and takes the instant it is made at.
"""

import hashlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from githubkit import AppAuthStrategy, GitHub, OAuthAppAuthStrategy, TokenAuthStrategy
from githubkit.exception import AuthCredentialError, RequestError, RequestFailed, RequestTimeout

from marketplace.github.rate_limits import pause, paused_until

#: Seconds that a call may take.
TIMEOUT = 10.0
#: A limit without a date: wait at least a minute (facts/github-marketplace, 4.3).
UNDATED_LIMIT = timedelta(minutes=1)
#: An answer that asks for more is not believed.
LONGEST_LIMIT = timedelta(hours=2)
PER_PAGE = 100
#: More pages than any listing has; a loop of `Link` headers ends here.
MAX_PAGES = 10_000
#: The key of our own credentials in the table of pauses.
APP_KEY = "app"


class GitHubError(Exception):
    """A call to GitHub did not give an answer that means anything."""


class GitHubNotConfigured(GitHubError):
    """There are no credentials for this call."""


class GitHubUnavailable(GitHubError):
    """GitHub did not answer, or not sensibly: try again later."""


class NotFound(GitHubUnavailable):
    """There is nothing at this address, or nothing that these credentials may see."""


class GitHubDenied(GitHubError):
    """401, or 403 without a sign of a rate limit: the credentials don't allow this, now or in an hour."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GitHubLimited(GitHubError):
    """A rate limit: nothing may be asked with this credential before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"rate limit until {until:%Y-%m-%d %H:%M:%S} UTC")
        self.until = until


@dataclass(frozen=True)
class GitHubAnswer:
    """A status that means something to the caller (2xx, 404, 410, 422), and its JSON."""

    status: int
    json: Any
    links: Mapping[str, str]


def is_configured() -> bool:
    """Whether we can ask about our listing at all."""
    return bool((settings.GITHUB_APP_ID and settings.GITHUB_PRIVATE_KEY) or has_oauth_credentials())


def has_oauth_credentials() -> bool:
    """Whether we can check and revoke tokens."""
    return bool(settings.GITHUB_CLIENT_ID and settings.GITHUB_CLIENT_SECRET)


def get_account(github_id: int, *, at: datetime) -> dict[str, Any] | None:
    """What GitHub says about one marketplace account of our listing; None: it has not purchased."""
    answer = _ask("GET", f"/marketplace_listing/accounts/{github_id}", at=at)
    if answer.status == 404:
        return None
    return _object(answer)


def all_plans(*, at: datetime) -> Iterator[dict[str, Any]]:
    """Every plan of our listing."""
    yield from _pages("/marketplace_listing/plans", at=at)


def accounts_of_plan(plan_id: int, *, at: datetime) -> Iterator[dict[str, Any]]:
    """Every account that holds a plan. Raises `NotFound` for a plan of which GitHub says that there is none."""
    yield from _pages(f"/marketplace_listing/plans/{plan_id}/accounts", at=at)


def purchases_of_user(token: str, *, at: datetime) -> Iterator[dict[str, Any]]:
    """The purchases that a signed-in buyer may see: their own and those of their organisations."""
    yield from _pages("/user/marketplace_purchases", at=at, token=token)


def delete_hook(repository: str, hook_id: int, token: str, *, at: datetime) -> GitHubAnswer:
    """Delete a repository's webhook: 204, or 404 when it is gone or out of the token's sight (`sees_hooks` tells)."""
    return _ask("DELETE", f"/repos/{repository}/hooks/{hook_id}", at=at, token=token)


def sees_hooks(repository: str, token: str, *, at: datetime) -> bool:
    """Whether this token may see the repository's webhooks: only then is a 404 for one of them the truth."""
    try:
        return _ask("GET", f"/repos/{repository}/hooks", at=at, token=token, params={"per_page": 1}).status == 200
    except GitHubDenied:
        return False


def revoke_token(token: str, *, at: datetime) -> GitHubAnswer:
    """Revoke one token: 204; 404 or 422 when GitHub does not know it, or says so (`token_is_dead` tells)."""
    return _application("DELETE", "token", token, at=at)


def revoke_grant(token: str, *, at: datetime) -> GitHubAnswer:
    """Revoke the authorisation, and with it every token that this person ever gave us."""
    return _application("DELETE", "grant", token, at=at)


def token_is_dead(token: str, *, at: datetime) -> bool:
    """Whether GitHub no longer knows a token: the check call's 404 (facts/github-marketplace, 4.1)."""
    return _application("POST", "token", token, at=at).status == 404


def refresh(refresh_token: str, *, at: datetime) -> tuple[str, str, datetime | None]:
    """A fresh token for a GitHub App's refresh token: access, refresh, and when the access token expires.

    Raises `GitHubDenied` when GitHub no longer takes it.
    """
    if not has_oauth_credentials():
        raise GitHubNotConfigured("GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET are not set.")
    try:
        response = httpx.post(
            f"{settings.GITHUB_WEB_URL}/login/oauth/access_token",
            data={
                "client_id": settings.GITHUB_CLIENT_ID,
                "client_secret": settings.GITHUB_CLIENT_SECRET,
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
            },
            headers={"Accept": "application/json", "User-Agent": "offboard"},
            timeout=TIMEOUT,
            verify=_tls(),
        )
    except httpx.HTTPError as error:
        raise GitHubUnavailable(f"refreshing a token: {type(error).__name__}") from error
    answer = _json(response) if response.status_code == 200 else None
    if response.status_code >= 500:
        raise GitHubUnavailable(f"refreshing a token: {response.status_code}")
    # GitHub answers 200 with an `error` when the refresh token is used up or expired.
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise GitHubDenied(response.status_code, "GitHub no longer takes the refresh token")
    seconds = answer.get("expires_in")
    expires_at = at + timedelta(seconds=seconds) if isinstance(seconds, int) else None
    return answer["access_token"], str(answer.get("refresh_token") or ""), expires_at


def _application(method: str, what: str, token: str, *, at: datetime) -> GitHubAnswer:
    if not has_oauth_credentials():
        raise GitHubNotConfigured("GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET are not set.")
    path = f"/applications/{settings.GITHUB_CLIENT_ID}/{what}"
    return _ask(method, path, at=at, body={"access_token": token}, basic=True)


def _pages(path: str, *, at: datetime, token: str | None = None) -> Iterator[dict[str, Any]]:
    """Every item of a list. Raises rather than leave one out: a page that fails is no shorter list."""
    for page in range(1, MAX_PAGES + 1):
        answer = _ask("GET", path, at=at, token=token, params={"per_page": PER_PAGE, "page": page})
        if answer.status == 404:
            raise NotFound(f"{path}, page {page}: 404")
        if answer.status != 200 or not isinstance(answer.json, list):
            raise GitHubUnavailable(f"{path}, page {page}: {answer.status} is no list")
        for item in answer.json:
            if not isinstance(item, dict):
                raise GitHubUnavailable(f"{path}, page {page}: an item is no object")
            yield item
        # The page's own length is no sign: GitHub may return short pages. The Link header says what comes next.
        if "next" not in answer.links:
            return
    raise GitHubUnavailable(f"{path}: more than {MAX_PAGES} pages")


def _object(answer: GitHubAnswer) -> dict[str, Any]:
    if answer.status != 200 or not isinstance(answer.json, dict):
        raise GitHubUnavailable(f"{answer.status} is no object")
    return answer.json


def key_of(token: str | None) -> str:
    """What names a credential in the table of pauses and in logs: a digest, never the credential."""
    return APP_KEY if token is None else f"token:{hashlib.sha256(token.encode()).hexdigest()[:32]}"


def _ask(
    method: str,
    path: str,
    *,
    at: datetime,
    token: str | None = None,
    params: Mapping[str, int] | None = None,
    body: Mapping[str, str] | None = None,
    basic: bool = False,
) -> GitHubAnswer:
    """One call. Raises one of `GitHubError`'s kinds unless the answer means something."""
    key = key_of(token)
    if until := paused_until(key, at):
        raise GitHubLimited(until)
    with _client(token, basic=basic) as github:
        response = _send(github, method, path, params, body)
        if response.status_code in (301, 302, 307, 308):
            response = _send(github, method, _moved(response), params, body)
    if response.status_code in (403, 429) and (until := _limit(response, at)):
        pause(key, until)
        raise GitHubLimited(until)
    if response.status_code in (401, 403):
        raise GitHubDenied(response.status_code, f"{method} {path}: {response.status_code} {_message(response)}")
    if response.status_code not in (200, 201, 202, 204, 404, 410, 422):
        raise GitHubUnavailable(f"{method} {path}: {response.status_code}")
    return GitHubAnswer(
        response.status_code, _json(response), {str(rel): str(link["url"]) for rel, link in response.links.items()}
    )


def _client(token: str | None, *, basic: bool) -> "GitHub[Any]":
    auth: Any
    if token is not None:
        auth = TokenAuthStrategy(token)
    elif settings.GITHUB_APP_ID and settings.GITHUB_PRIVATE_KEY and not basic:
        auth = AppAuthStrategy(
            settings.GITHUB_APP_ID,
            settings.GITHUB_PRIVATE_KEY,
            settings.GITHUB_CLIENT_ID or None,
            settings.GITHUB_CLIENT_SECRET or None,
        )
    elif has_oauth_credentials():
        auth = OAuthAppAuthStrategy(settings.GITHUB_CLIENT_ID, settings.GITHUB_CLIENT_SECRET)
    else:
        raise GitHubNotConfigured("No credentials of a GitHub App or an OAuth app are set.")
    return GitHub(
        auth,
        base_url=settings.GITHUB_API_URL,
        auto_retry=False,
        http_cache=False,
        follow_redirects=False,
        timeout=TIMEOUT,
        ssl_verify=_tls(),
        user_agent="offboard",
    )


@cache
def _tls() -> ssl.SSLContext:
    """One for all calls: reading the certificates takes longer than a call."""
    return ssl.create_default_context()


def _send(
    github: "GitHub[Any]", method: str, url: str, params: Mapping[str, int] | None, body: Mapping[str, str] | None
) -> httpx.Response:
    try:
        return github.request(method, url, params=params, json=body).raw_response
    except RequestFailed as error:
        return error.response.raw_response
    except AuthCredentialError as error:
        raise GitHubNotConfigured(f"The credentials are not usable: {error}") from error
    except (RequestTimeout, RequestError) as error:
        raise GitHubUnavailable(f"{method}: {type(error).__name__}") from error


def _moved(response: httpx.Response) -> str:
    """Where a renamed repository is now (facts/github-marketplace, 4.1). Only ever on GitHub's own API: no token
    leaves it.
    """
    target = response.headers.get("location", "")
    ours, theirs = urlsplit(settings.GITHUB_API_URL), urlsplit(target)
    if (theirs.scheme, theirs.netloc) != (ours.scheme, ours.netloc):
        raise GitHubUnavailable("redirected to another host")
    return f"{theirs.path}?{theirs.query}" if theirs.query else theirs.path


def _limit(response: httpx.Response, at: datetime) -> datetime | None:
    """Until when a 403 or 429 asks us to wait, in the order of the reference (4.3); None: it is no rate limit."""
    headers = response.headers
    if (seconds := headers.get("retry-after", "")).isdigit():
        return min(at + timedelta(seconds=int(seconds)), at + LONGEST_LIMIT)
    if headers.get("x-ratelimit-remaining") == "0" and (reset := headers.get("x-ratelimit-reset", "")).isdigit():
        # The answer's own epoch, rounded down: one second more is on the safe side.
        until = datetime.fromtimestamp(int(reset), UTC) + timedelta(seconds=1)
        return min(max(until, at + timedelta(seconds=1)), at + LONGEST_LIMIT)
    if response.status_code == 429 or "rate limit" in _message(response).lower():
        return at + UNDATED_LIMIT
    return None


def _json(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise GitHubUnavailable(f"{response.status_code} with a body that is not JSON") from error


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return ""
    return str(body.get("message", ""))[:200] if isinstance(body, dict) else ""
