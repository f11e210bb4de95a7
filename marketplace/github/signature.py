"""GitHub's signature: HMAC-SHA256 of the raw body, in the header `X-Hub-Signature-256` (reference: WHVALID)."""

import hmac
import re
from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _


class GitHubListing(models.TextChoices):
    """Whose secret signed a message: a secret belongs to a listing, and nothing else tells them apart."""

    LIVE = "", _("live")
    DRAFT = "draft", _("draft")


_FORM = re.compile(rb"sha256=[0-9a-fA-F]{64}")


def sign(secret: str, body: bytes) -> str:
    """The header's value for this body, as GitHub makes it."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()


def is_signed(body: bytes, header: str, secrets: Iterable[str]) -> bool:
    """Whether one of the secrets signed exactly these bytes. Every secret is tried: the time taken tells nothing."""
    given = header.encode(errors="replace")
    if not _FORM.fullmatch(given):
        return False
    matches = [hmac.compare_digest(given.lower(), sign(secret, body).encode()) for secret in secrets if secret]
    return any(matches)
