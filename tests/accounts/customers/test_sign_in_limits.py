"""Limits of sign-in: whom they count, whom they leave alone, and what happens while Redis is away."""

from collections.abc import Iterator

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts.core.client_address import client_address, network_of
from accounts.models import User
from config.cache import Cache
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    caches["default"].clear()
    yield
    caches["default"].clear()


def attempt(email: str, password: str = "", **sent: str) -> int:
    """The status of a sign-in: 302 is in."""
    return Client().post("/auth/login/", {"login": email, "password": password or "wrong"}, **sent).status_code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.1", "192.0.2.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        # What the client wrote itself stands left of what our proxies wrote.
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (2, "203.0.113.9, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        # Whoever came past a proxy says nothing.
        (2, "198.51.100.1", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "nonsense", "192.0.2.1"),
        (1, "198.51.100.1:4711", "198.51.100.1"),
        (1, "[2001:DB8::1]:4711", "2001:db8::1"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_client_is_told_by_as_many_proxies_as_are_trusted(
    rf: RequestFactory, settings: Settings, proxies: int, forwarded: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = rf.get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


def test_whoever_connects_through_a_socket_has_an_address_too(rf: RequestFactory) -> None:
    assert client_address(rf.get("/", REMOTE_ADDR="")) == "0.0.0.0"  # noqa: S104  # an address to count by


def test_an_ipv6_client_is_counted_with_its_network() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert network_of("198.51.100.1") == "198.51.100.1"


def test_behind_a_proxy_a_stranger_locks_nobody_else_out(owner: User, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(12):
        attempt(f"nobody{number}@example.org", HTTP_X_FORWARDED_FOR="203.0.113.9")
    assert attempt(owner.email, PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.1") == 302


def test_five_wrong_passwords_from_elsewhere_do_not_lock_the_owner_out(owner: User) -> None:
    for _wrong in range(7):
        assert attempt(owner.email, REMOTE_ADDR="203.0.113.9") == 200
    assert attempt(owner.email, PASSWORD, REMOTE_ADDR="203.0.113.9") == 200
    assert attempt(owner.email, PASSWORD, REMOTE_ADDR="198.51.100.1") == 302


def test_another_host_name_or_port_is_no_new_try(owner: User) -> None:
    for port in range(5):
        attempt(owner.email, HTTP_HOST=f"localhost:{8000 + port}")
    assert attempt(owner.email, PASSWORD, HTTP_HOST="127.0.0.1:9999") == 200


@pytest.fixture
def redis_is_away(settings: Settings) -> Iterator[None]:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    LocMemCache("while Redis is away", {}).clear()
    yield
    Cache._away_until = 0.0


@pytest.mark.usefixtures("redis_is_away")
def test_without_redis_people_sign_in_and_each_process_counts_for_itself(owner: User) -> None:
    assert attempt(owner.email, PASSWORD) == 302
    for _wrong in range(5):
        attempt(owner.email)
    assert attempt(owner.email, PASSWORD) == 200


@pytest.mark.usefixtures("redis_is_away")
def test_without_redis_a_second_factor_works_once(owner: User) -> None:
    secret = "JBSWY3DPEHPK3PXP"  # a test's
    TOTP.activate(owner, secret)
    code = format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))
    answers = []
    for client in (Client(), Client()):
        client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
        answers.append(client.post("/auth/2fa/authenticate/", {"code": code}).status_code)
    assert answers == [302, 200]
