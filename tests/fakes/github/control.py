"""Playing GitHub by hand: `POST /_control/{verb}` with JSON, `GET /_control/state`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.github import answers
from tests.fakes.github.calls import Answer, Call
from tests.fakes.github.payloads import Delivery, Json
from tests.fakes.github.state import Account, Plan, Token
from tests.fakes.github.traffic import error

if TYPE_CHECKING:
    from tests.fakes.github.fake import FakeGitHub

# What may be called: verbs whose arguments are made of JSON by `_argument`.
VERBS = frozenset(
    {
        "account",
        "apply_pending",
        "authorize",
        "buy",
        "cancel",
        "change",
        "clear",
        "delete_hook",
        "delete_repository",
        "fail",
        "forget_requests",
        "heal",
        "hook",
        "install",
        "listing_plan",
        "ping",
        "rate_limit",
        "rename",
        "rename_repository",
        "renew",
        "repository",
        "retire",
        "revoke",
        "revoke_grant",
        "schedule_change",
        "stale",
        "withdraw_change",
    }
)
DATES = ("trial_ends", "reset_at", "now")
ACCOUNTS = ("account", "by", "user")


def respond(github: "FakeGitHub", call: Call) -> Answer:
    verb = call.path.removeprefix("/_control").strip("/")
    if call.method == "GET" and verb in ("", "state"):
        with github.lock:
            return Answer(200, state(github))
    try:
        return Answer(200, perform(github, verb, call.body if isinstance(call.body, dict) else {}))
    except (LookupError, TypeError, ValueError) as mistake:
        return Answer(400, error(400, str(mistake)))


def perform(github: "FakeGitHub", verb: str, arguments: Json) -> Json:
    """Calls a verb of the fake. Accounts are given by login, plans by name or id, tokens by value, dates as ISO."""
    if verb == "now":
        github.now = _date(arguments["now"])
        return {"now": github.now.isoformat()}
    if verb == "sign_in_as":
        github.signing_in = _account(github, arguments["login"])
        return {"signing_in": github.signing_in.login}
    if verb == "redeliver":
        wanted = arguments["guid"]
        delivery = next((known for known in github.deliveries if known.guid == wanted), None)
        if not delivery:
            raise LookupError(f"No delivery has the GUID {wanted}")
        return {"guid": delivery.guid, "answered": github.post(delivery)}
    if verb not in VERBS:
        raise LookupError(
            f"No verb {verb!r}. There are: {', '.join(sorted(VERBS | {'now', 'redeliver', 'sign_in_as'}))}"
        )
    method: Callable[..., Any] = getattr(github, verb)
    result = method(**{name: _argument(github, verb, name, value) for name, value in arguments.items()})
    told = {"done": verb, "result": _told(result)}
    if isinstance(result, Delivery) and github.webhook_url:
        told["answered"] = dict(github.posted)[result.guid]
    return told


def state(github: "FakeGitHub") -> Json:
    """All that the fake knows."""
    return {
        "now": github.now.isoformat(),
        "webhook_url": github.webhook_url,
        "signing_in": github.signing_in.login if github.signing_in else None,
        "plans": [answers.listing_plan(plan, api=github.url) for plan in github.plans.values()],
        "accounts": [
            {"id": account.id, "login": account.login, "type": account.type} for account in github.accounts.values()
        ],
        "purchases": [
            answers.account_with_purchase(
                github.accounts[account_id],
                standing,
                installed=github.is_installed(github.accounts[account_id]),
                api=github.url,
            )
            for account_id, standing in github.standings.items()
        ],
        "tokens": [
            {"token": token.value, "user": token.user.login, "scopes": list(token.scopes)} for token in github.tokens
        ],
        "grants": [person.login for person in github.grants],
        "repositories": [
            {"full_name": known.full_name, "hooks": [hook.id for hook in github.hooks_in(known)]}
            for known in github.repositories
        ],
        "installations": {str(id): account.login for id, account in github.installations.items()},
        "deliveries": [
            {"guid": known.guid, "event": known.event, "action": known.action} for known in github.deliveries
        ],
        "posted": [{"guid": guid, "answered": status} for guid, status in github.posted],
        "requests": [str(request) for request in github.requests],
    }


def _argument(github: "FakeGitHub", verb: str, name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in DATES:
        return _date(value)
    if name in ACCOUNTS:
        return _account(github, value)
    if name == "admins":
        return [github.account(login) for login in value]
    if name == "plan":
        return _plan(github, value)
    if name == "token":
        if not (token := github.token_of_value(value)):
            raise LookupError(f"No token {value}")
        return token
    return tuple(value) if isinstance(value, list) and verb != "fail" else value


def _account(github: "FakeGitHub", login: str) -> Account:
    if not (account := github.account_named(login)):
        raise LookupError(f"No account {login}: POST /_control/account first")
    return account


def _plan(github: "FakeGitHub", name_or_id: str | int) -> Plan:
    for plan in github.plans.values():
        if name_or_id in (plan.id, plan.name):
            return plan
    raise LookupError(f"No plan {name_or_id}: POST /_control/listing_plan first")


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _told(result: Any) -> Any:
    """What a person needs of a result to go on."""
    if isinstance(result, Account):
        return {"id": result.id, "login": result.login}
    if isinstance(result, Plan):
        return {"id": result.id, "number": result.number, "name": result.name}
    if isinstance(result, Token):
        return {"token": result.value, "refresh_token": result.refresh_token}
    if isinstance(result, Delivery):
        return {"guid": result.guid, "event": result.event, "action": result.action}
    return result if isinstance(result, int) else None
