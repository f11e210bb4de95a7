"""What the product's servers tell us about what they made at GitHub."""

import uuid

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.core import clock, strict_json
from accounts.customers.product_api import ApiError, api
from accounts.models import Account
from marketplace.github.repository_hooks import RepositoryHook, register_hook

MAX_BYTES = 10_000


@api("PUT", "DELETE")
def github_hooks(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """/api/accounts/<uuid>/github-hooks/ with {"repository", "hook_id", "github_user_id"?}.

    PUT: a repository webhook was made for this account. DELETE: it was removed again by the product itself.
    """
    account = Account.objects.filter(pk=account_id, purging_at=None).first()
    if account is None:
        raise ApiError(404, "unknown_account", "There is no account with this id.")
    repository, hook_id, github_user_id = _read(request)
    at = clock.now()
    if request.method == "DELETE":
        hooks = RepositoryHook.objects.remaining().filter(account=account, repository=repository, hook_id=hook_id)
        if not hooks.update(deleted_at=at):
            raise ApiError(404, "unknown_hook", "This hook is not registered for this account.")
        return JsonResponse({"repository": repository, "hook_id": hook_id, "deleted": True})
    try:
        _hook, new = register_hook(
            account, repository=repository, hook_id=hook_id, github_user_id=github_user_id, at=at
        )
    except ValidationError as error:
        raise ApiError(422, "bad_hook", " ".join(error.messages)) from error
    return JsonResponse({"repository": repository, "hook_id": hook_id}, status=201 if new else 200)


def _read(request: HttpRequest) -> tuple[str, int, int | None]:
    try:
        body = strict_json.parse(strict_json.read_body(request, limit=MAX_BYTES))
    except strict_json.TooLarge as error:
        raise ApiError(413, "too_large", str(error)) from error
    except strict_json.BadJSON as error:
        raise ApiError(400, "bad_json", str(error)) from error
    if not isinstance(body, dict) or not isinstance(body.get("repository"), str):
        raise ApiError(422, "bad_hook", "“repository” must be owner/name.")
    user = body.get("github_user_id")
    if not _is_id(body.get("hook_id")) or (user is not None and not _is_id(user)):
        raise ApiError(422, "bad_hook", "“hook_id” and “github_user_id” must be GitHub's numbers.")
    return body["repository"], body["hook_id"], user


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
