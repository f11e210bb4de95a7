"""Signatures as Standard Webhooks 1.0 has them; checked by hand, and by the library that receivers use."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook

from accounts.outgoing.signing import is_secret, make_secret, signed

AT = datetime(2026, 3, 17, 9, 30, 0, 900_000, tzinfo=UTC)
BODY = '{"type":"endpoint.test","name":"Zoë"}'.encode()


def test_the_headers_are_those_of_the_specification() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    secret = "whsec_" + base64.b64encode(key).decode()
    expected = hmac.new(key, b"msg_1.1773739800." + BODY, hashlib.sha256).digest()
    assert signed("msg_1", BODY, keys=[secret], at=AT) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1773739800",
        "webhook-signature": f"v1,{base64.b64encode(expected).decode()}",
    }


def test_it_is_what_the_libraries_for_node_sign() -> None:
    """Recorded from `standardwebhooks` 1.1.1 and `svix` 1.99.1 of npm, which agree."""
    secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    headers = signed("msg_1", BODY, keys=[secret], at=AT)
    assert headers["webhook-signature"] == "v1,RvlJ5557tTdJoYgFDUPMd6rpW1Yyb6Yl9js8LfhMK3g="


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    secret = make_secret()
    there = AT.astimezone(timezone(timedelta(hours=2)))
    assert signed("msg_1", BODY, keys=[secret], at=there) == signed("msg_1", BODY, keys=[secret], at=AT)


def test_two_secrets_sign_both_and_either_verifies() -> None:
    old, new = make_secret(), make_secret()
    headers = signed("msg_1", BODY, keys=[new, old], at=datetime.now(UTC))
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        assert Webhook(secret).verify(BODY, headers) == {"type": "endpoint.test", "name": "Zoë"}


def test_a_secret_that_is_made_is_one() -> None:
    made = {make_secret() for _one in range(20)}
    assert len(made) == 20
    assert all(is_secret(secret) and len(base64.b64decode(secret[6:])) == 32 for secret in made)


@pytest.mark.parametrize(
    ("size", "is_one"), [(1, False), (23, False), (24, True), (25, True), (26, True), (64, True), (65, False)]
)
def test_a_secret_has_from_24_to_64_bytes(size: int, is_one: bool) -> None:
    encoded = base64.b64encode(b"k" * size).decode()
    assert is_secret(f"whsec_{encoded}") is is_one
    # Written without its padding it is the same one: many write it so.
    assert is_secret(f"whsec_{encoded.rstrip('=')}") is is_one


@pytest.mark.parametrize(
    "text", ["", "whsec_", "a" * 40, "whsec_" + "ä" * 40, "whsec_" + "A" * 40 + "\n", "v1,whsec_" + "A" * 44]
)
def test_what_is_written_otherwise_is_no_secret(text: str) -> None:
    assert not is_secret(text)
