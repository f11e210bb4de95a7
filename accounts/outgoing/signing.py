"""What others can check that a call is ours by: the headers of Standard Webhooks 1.0, scheme `v1`.

The signed text is the message's id, the second of this attempt and the body as it is sent, byte for byte. Several
secrets sign while one is changed for another, so that a rotation loses nothing.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
#: Random bytes of a secret that we make; what others make has as many as the specification allows.
SECRET_BYTES = 32
FEWEST_BYTES, MOST_BYTES = 24, 64


def make_secret() -> str:
    """A new secret, `whsec_` and 32 random bytes in base64: shown once, kept encrypted."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Whether it is `whsec_` and 24 to 64 bytes in base64. The library would take one byte, too."""
    if not re.fullmatch(PREFIX + r"[A-Za-z0-9+/]{2,88}={0,2}", text):
        return False
    encoded = text.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return False
    return FEWEST_BYTES <= len(key) <= MOST_BYTES


def signed(message_id: str, body: bytes, *, keys: Sequence[str], at: datetime) -> dict[str, str]:
    """The headers of one attempt, made at `at` by the real clock: the receiver compares it with its own.

    `message_id` is the same in each attempt and holds no full stop; `body` is UTF-8. `keys`: one secret, or the new and
    the old one during a rotation.
    """
    # The library replaces a time zone instead of converting it: an instant of another zone would be off by hours.
    sent_at = at.astimezone(UTC)
    text = body.decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, sent_at, text) for key in keys),
    }
