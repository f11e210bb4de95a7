"""Calls that are repeated: the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header, version 07).

A caller that got no answer sends the call again, with the same key, and learns how the first one ended: its status, and
the resource as it is now. Kept is the resource's id, not the answer, which holds personal data; and of key and body
only their SHA-256. The row commits with what the call changed, so a call that failed may be made anew.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import models, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.api import problems
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import ApiToken
from accounts.core import locks
from accounts.core.locks import Lock

KEPT_FOR = timedelta(days=7)
HEADER = "Idempotency-Key"
#: Says that the answer is that of an earlier call.
REPLAYED = "Idempotent-Replayed"
MAX_KEY = 255
MAX_PATH = 200


class ApiCall(models.Model):
    """One call with a key that changed something: by hashes and ids alone."""

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+", verbose_name=_("API token"))
    #: SHA-256 of the path and the key, in hexadecimal digits.
    key = models.CharField(_("key"), max_length=64)
    body = models.CharField(_("digest of the body"), max_length=64)
    status = models.PositiveSmallIntegerField(_("status"))
    #: What it made or changed, by its id.
    resource = models.CharField(_("resource"), max_length=40)
    at = models.DateTimeField(_("when"), db_index=True)

    class Meta:
        verbose_name = _("API call")
        verbose_name_plural = _("API calls")
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="api_call_once_a_key")]

    def __str__(self) -> str:
        return f"{self.status} {self.resource}"


def once(
    request: HttpRequest, work: Callable[[], tuple[int, str]], *, token: ApiToken, at: datetime, needed: bool = False
) -> tuple[int, str, bool]:
    """Do this in one transaction, once a key. Returns status, the resource's id, and whether it was done before.

    `work` changes something and says status and id. Without a key it is simply done; `needed`: raises a 400 then.
    Raises 422 for a key that was used with another body, and 409 while another call with it is being carried out.
    """
    key = _key_of(request, needed=needed)
    with transaction.atomic():
        if key is None:
            return *work(), False
        # Not waited for: whoever calls twice at once learns that at once, and holds no thread of ours.
        if not locks.try_take(Lock.API_CALL, f"{token.pk}:{key}"):
            raise Problem(problems.STILL_RUNNING, headers={"Retry-After": "1"})
        body = hashlib.sha256(request.body).hexdigest()
        # One that is older than it is kept for may still be there: the sweep comes once a day.
        if before := ApiCall.objects.filter(token=token, key=key).first():
            if before.at > at - KEPT_FOR:
                if before.body != body:
                    raise Problem(problems.KEY_REUSED)
                return before.status, before.resource, True
            before.delete()
        status, resource = work()
        ApiCall.objects.create(token=token, key=key, body=body, status=status, resource=resource, at=at)
        return status, resource, False


def _key_of(request: HttpRequest, *, needed: bool) -> str | None:
    given = request.headers.get(HEADER, "").strip()
    if not given:
        if needed:
            raise Problem(problems.KEY_MISSING)
        return None
    if len(given) > MAX_KEY or not given.isprintable():
        error = FieldError(f"header:{HEADER}", "key", f"A key has at most {MAX_KEY} printable characters.")
        raise Problem(problems.INVALID, errors=[error])
    return hashlib.sha256(f"{request.method} {request.path_info} {given}".encode()).hexdigest()


def old(at: datetime) -> "models.QuerySet[ApiCall]":
    """Those that nobody can repeat any more."""
    return ApiCall.objects.filter(at__lte=at - KEPT_FOR)
