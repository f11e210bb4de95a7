"""The endpoints, and what they answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from tests.fakes.github import answers
from tests.fakes.github.applications import DELETES_HOOKS, SEES_HOOKS
from tests.fakes.github.calls import (
    Answer,
    Call,
    Endpoints,
    Refused,
    require_app,
    require_jwt,
    require_secret,
    require_user,
)
from tests.fakes.github.payloads import Json
from tests.fakes.github.state import Account, BillingCycle, Plan, Purchase, Repository, Standing, midnight
from tests.fakes.github.traffic import error

if TYPE_CHECKING:
    from tests.fakes.github.fake import FakeGitHub

MOST_PER_PAGE = 100
PER_PAGE = 30

endpoints = Endpoints()
route = endpoints.at


# The listing: by JWT (GitHub App) or client id and secret (OAuth app)


@route("GET", "/marketplace_listing/plans")
def list_plans(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    require_app(github, call)
    return page(github, call, [answers.listing_plan(plan, api=github.url) for plan in github.plans.values()])


@route("GET", "/marketplace_listing/plans/{plan_id}/accounts")
def list_accounts(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    require_app(github, call)
    plan = github.plans.get(_integer(at["plan_id"]))
    if not plan:
        raise Refused(404, "Not Found")
    found = [
        (github.accounts[account_id], standing)
        for account_id, standing in github.standings.items()
        if standing.purchase and standing.purchase.plan is plan
    ]
    sort, direction = call.argument("sort"), call.argument("direction", "desc")
    if sort not in ("", "created", "updated") or direction not in ("asc", "desc"):
        raise Refused(422, "Validation Failed", errors=[{"resource": "Account", "code": "invalid", "field": "sort"}])
    if sort == "updated":
        found.sort(key=lambda each: each[1].purchase.updated_at if each[1].purchase else github.now)
    if sort and direction == "desc":
        found.reverse()
    return page(github, call, [_account(github, account, standing) for account, standing in found])


@route("GET", "/marketplace_listing/accounts/{account_id}")
def get_account(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    require_app(github, call)
    account = github.accounts.get(_integer(at["account_id"]))
    standing = github.standing_read(account.id) if account else Standing()
    if not account or not standing.purchase:
        raise Refused(404, "Not Found")
    return Answer(200, _account(github, account, standing))


# The same with data that never changes, for trying out


@route("GET", "/marketplace_listing/stubbed/plans")
def list_stubbed_plans(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    require_app(github, call)
    return page(github, call, [answers.listing_plan(plan, api=github.url) for plan in STUBBED_PLANS])


@route("GET", "/marketplace_listing/stubbed/plans/{plan_id}/accounts")
def list_stubbed_accounts(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    require_app(github, call)
    return page(github, call, [_account(github, STUBBED_ACCOUNT, _stubbed_standing(github))])


@route("GET", "/marketplace_listing/stubbed/accounts/{account_id}")
def get_stubbed_account(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    require_app(github, call)
    return Answer(200, _account(github, STUBBED_ACCOUNT, _stubbed_standing(github)))


@route("GET", "/user/marketplace_purchases/stubbed")
def list_stubbed_purchases(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    require_user(github, call)
    purchase = _stubbed_standing(github).purchase
    return page(github, call, [answers.users_purchase(STUBBED_ACCOUNT, purchase, api=github.url)] if purchase else [])


# A person, by their token


@route("GET", "/user/marketplace_purchases")
def list_purchases(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    person = require_user(github, call).user
    found = [
        answers.users_purchase(account, standing.purchase, api=github.url)
        for account_id, standing in github.standings.items()
        if standing.purchase and person in ((account := github.accounts[account_id]), *account.admins)
    ]
    return page(github, call, found)


@route("GET", "/user")
def get_user(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    return Answer(200, answers.user(require_user(github, call).user, api=github.url))


@route("GET", "/user/emails")
def list_emails(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    token = require_user(github, call)
    if not token.may("user:email", "user"):
        raise Refused(404, "Not Found")
    email = {"email": token.user.email, "primary": True, "verified": token.user.email_is_verified}
    email["visibility"] = "private"
    return page(github, call, [email] if token.user.email else [])


# The app's tokens: by client id and secret


@route("POST", "/applications/{client_id}/token")
def check_token(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    require_secret(github, call, at)
    if token := github.token_of_value(_access_token(call)):
        return Answer(200, answers.authorization(token, github, api=github.url))
    raise Refused(404, "Not Found")


@route("DELETE", "/applications/{client_id}/token")
def delete_token(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    require_secret(github, call, at)
    token = github.token_of_value(_access_token(call))
    if token:
        github.revoke(token)
        return Answer(204)
    # Documented are 204 and 422 only; what GitHub answers for a token that is dead is not.
    if github.unknown_token_status == 204:
        return Answer(204)
    raise _invalid_token() if github.unknown_token_status == 422 else Refused(404, "Not Found")


@route("DELETE", "/applications/{client_id}/grant")
def delete_grant(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    require_secret(github, call, at)
    token = github.token_of_value(_access_token(call))
    if not token:
        raise _invalid_token()
    github.revoke_grant(token.user)
    return Answer(204)


@route("DELETE", "/app/installations/{installation_id}")
def delete_installation(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    require_jwt(github, call)
    if not github.installations.pop(_integer(at["installation_id"]), None):
        raise Refused(404, "Not Found")
    return Answer(204)


# Hooks, by a person's token


@route("GET", "/repos/{owner}/{repo}/hooks")
@route("GET", "/repositories/{repository_id}/hooks")
def list_hooks(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    repository = _repository(github, call, at, SEES_HOOKS)
    if isinstance(repository, Answer):
        return repository
    return page(github, call, [answers.hook(hook, api=github.url) for hook in github.hooks_in(repository)])


@route("GET", "/repos/{owner}/{repo}/hooks/{hook_id}")
@route("GET", "/repositories/{repository_id}/hooks/{hook_id}")
def get_hook(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    repository = _repository(github, call, at, SEES_HOOKS)
    if isinstance(repository, Answer):
        return repository
    for hook in github.hooks_in(repository):
        if hook.id == _integer(at["hook_id"]):
            return Answer(200, answers.hook(hook, api=github.url))
    raise Refused(404, "Not Found")


@route("DELETE", "/repos/{owner}/{repo}/hooks/{hook_id}")
@route("DELETE", "/repositories/{repository_id}/hooks/{hook_id}")
def delete_hook(github: "FakeGitHub", call: Call, at: dict[str, str]) -> Answer:
    repository = _repository(github, call, at, DELETES_HOOKS)
    if isinstance(repository, Answer):
        return repository
    hook_id = _integer(at["hook_id"])
    if hook_id not in [hook.id for hook in github.hooks_in(repository)]:
        raise Refused(404, "Not Found")
    github.delete_hook(hook_id)
    return Answer(204)


@route("GET", "/meta")
def get_meta(github: "FakeGitHub", call: Call, _: dict[str, str]) -> Answer:
    return Answer(200, {"verifiable_password_authentication": False, "hooks": ["127.0.0.1/32", "::1/128"]})


# Shapes that several share


def page(github: "FakeGitHub", call: Call, everything: Sequence[Json]) -> Answer:
    """One page of a list, with the `Link` header. Past the end: an empty list."""
    size = min(max(_integer(call.argument("per_page", str(PER_PAGE))), 1), MOST_PER_PAGE)
    number = max(_integer(call.argument("page", "1")), 1)
    last = max(1, -(-len(everything) // size))
    links: dict[str, int] = {}
    if number < last:
        links |= {"next": number + 1, "last": last}
    if number > 1:
        links |= {"first": 1, "prev": min(number - 1, last)}
    kept = {name: values[-1] for name, values in parse_qs(call.query).items()}
    link = ", ".join(
        f'<{github.url}{call.path}?{urlencode({**kept, "page": target})}>; rel="{name}"'
        for name, target in links.items()
    )
    return Answer(200, everything[(number - 1) * size : number * size], {"Link": link} if link else {})


def _account(github: "FakeGitHub", account: Account, standing: Standing) -> Json:
    return answers.account_with_purchase(account, standing, installed=github.is_installed(account), api=github.url)


def _repository(github: "FakeGitHub", call: Call, at: dict[str, str], scopes: tuple[str, ...]) -> Repository | Answer:
    """The repository, if the caller may; a redirect if it has moved. Whatever they may not see is not there: 404."""
    if call.auth == "none":
        raise Refused(404, "Not Found")
    token = require_user(github, call)
    if "repository_id" in at:
        wanted = _integer(at["repository_id"])
        repository = next((known for known in github.repositories if known.id == wanted), None)
    else:
        full_name = f"{at['owner']}/{at['repo']}"
        repository = github.repository_named(full_name)
        if not repository and (moved := github.moved_repository(full_name)):
            rest = call.path.split("/", 4)[4]
            location = f"{github.url}/repositories/{moved.id}/{rest}"
            body = error(github.moved_status, "Moved Permanently", url=location)
            return Answer(github.moved_status, body, {"Location": location})
    if not repository or not token.may(*scopes) or not repository.administered_by(token.user):
        raise Refused(404, "Not Found")
    return repository


def _access_token(call: Call) -> str:
    if not call.subject:
        raise _invalid_token()
    return call.subject


def _invalid_token() -> Refused:
    return Refused(
        422, "Validation Failed", errors=[{"resource": "OauthAccess", "code": "invalid", "field": "access_token"}]
    )


def _integer(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


_CYCLE: BillingCycle = "monthly"
STUBBED_ACCOUNT = Account(id=4, login="stubbed-organization", type="Organization", email="billing@stubbed.example")
STUBBED_PLANS = (
    Plan(1313, 3, "Pro", "PER_UNIT", 1_099, 11_870, "A professional plan", ("25 repositories",), True, "seat"),
    Plan(1314, 1, "Free", "FREE", 0, 0, "A plan without a price", ("1 repository",)),
)


def _stubbed_standing(github: "FakeGitHub") -> Standing:
    return Standing(Purchase(STUBBED_PLANS[0], _CYCLE, 3, None, midnight(github.now), updated_at=midnight(github.now)))
