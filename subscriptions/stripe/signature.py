"""Stripe's signature: HMAC-SHA256 over time and raw body, in the header `Stripe-Signature` (docs.stripe.com/webhooks).

Stripe's own library takes one secret at a time, lets a message of the future pass, and lets a stranger cause an error
of ours by a body that is not UTF-8; so the check is here.
"""

import hmac
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

#: A message signed longer ago, or longer ahead, is nobody's: Stripe signs each attempt anew.
TOLERANCE = timedelta(minutes=5)
#: While a secret is rolled there is a signature of each. More are no header of Stripe's.
MOST_PARTS = 20

_TIME = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class StripeRefusal(models.TextChoices):
    """Why a message was not stored."""

    NOT_SIGNED = "stripe_not_signed", _("signed with none of our secrets")
    TOO_OLD = "stripe_too_old", _("signed too long ago, or in the future")


class RefusedSignature(Exception):
    """The message is not Stripe's, or not of now."""

    def __init__(self, reason: StripeRefusal) -> None:
        super().__init__(reason.label)
        self.reason = reason


def sign(secret: str, body: bytes, at: datetime) -> str:
    """The header's value for this body, as Stripe makes it. The key is the whole secret, `whsec_` and all."""
    sent = int(at.timestamp())
    return f"t={sent},v1={_digest(secret, str(sent), body)}"


def check(body: bytes, header: str, secrets: Iterable[str], *, at: datetime) -> None:
    """Raise `RefusedSignature` unless one of the secrets signed exactly these bytes, within five minutes of `at`.

    Every secret is tried with every signature of the scheme `v1`, each in the same time: it tells nothing.
    """
    times, given = _parts(header)
    if len(times) != 1 or not given:
        raise RefusedSignature(StripeRefusal.NOT_SIGNED)
    expected = [_digest(secret, times[0], body) for secret in secrets if secret]
    matches = [hmac.compare_digest(one, ours) for one in given for ours in expected]
    if not any(matches):
        raise RefusedSignature(StripeRefusal.NOT_SIGNED)
    if abs(int(times[0]) - at.timestamp()) > TOLERANCE.total_seconds():
        raise RefusedSignature(StripeRefusal.TOO_OLD)


def _parts(header: str) -> tuple[list[str], list[str]]:
    """The times and the signatures that the header names, as far as they can be Stripe's."""
    times, given = [], []
    for part in header.split(",", MOST_PARTS)[:MOST_PARTS]:
        name, _equals, value = part.strip().partition("=")
        if name == "t":
            # Twice, or no number: whatever it says, nobody at Stripe wrote it.
            times.append(value) if _TIME.fullmatch(value) else times.extend(["", ""])
        elif name == "v1" and _SIGNATURE.fullmatch(value.lower()):
            given.append(value.lower())
    return times, given


def _digest(secret: str, sent: str, body: bytes) -> str:
    return hmac.new(secret.encode(), sent.encode() + b"." + body, "sha256").hexdigest()
