"""Tokens: shown once, kept as hashes, each with scopes of its own, an end if one was said, and a history."""

import re
import zlib
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.api import application, tokens
from accounts.api.tokens import ApiToken, BadToken, NameTaken, Scope
from accounts.core import clock
from accounts.customers.history import Actor
from accounts.jobs import invariants
from accounts.models import Account, Event
from tests.accounts.api.calling import ROOT, Caller, problem
from tests.factories import NOW

pytestmark = pytest.mark.django_db
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Every door of the document, with the scope that it names.
DOORS = [
    (method.upper(), path, operation["security"][0]["Token"][0])
    for path, operations in application.document()["paths"].items()
    for method, operation in operations.items()
]


def asked(header: str | None) -> Client:
    headers = {} if header is None else {"Authorization": header}
    return Client().get(f"{ROOT}accounts/", headers=headers)  # type: ignore[return-value]


def test_a_token_looks_like_one_and_is_kept_as_a_hash() -> None:
    made, text = tokens.make("product", ["accounts:read"], by=Actor.system(), at=NOW)
    found = re.fullmatch(r"off_([0-9A-Za-z]{8})_[0-9A-Za-z_-]{43}([0-9A-Za-z]{6})", text)
    assert found is not None
    assert made.lookup == found[1]
    number = 0
    for letter in found[2]:
        number = number * 62 + LETTERS.index(letter)
    assert number == zlib.crc32(text[:-6].encode())
    assert len(made.digest) == 64
    assert not [
        value for value in ApiToken.objects.values_list().get() if isinstance(value, str) and value in text[13:]
    ]
    assert tokens.find(text) == made


def test_making_and_revoking_stand_in_the_history() -> None:
    made, _text = tokens.make("product", ["usage:write"], by=Actor.system(), at=NOW, expires_at=NOW + DAY)
    assert tokens.revoke(made, by=Actor.system(), at=NOW + MINUTE)
    assert not tokens.revoke(made, by=Actor.system(), at=NOW + 2 * MINUTE)
    first, second = Event.objects.filter(kind__startswith="token.").order_by("id")
    assert (first.kind, first.account_id, first.facts) == (
        "token.made",
        None,
        {"token": made.pk, "scopes": ["usage:write"], "expires_at": "2026-03-18T09:30:00+00:00"},
    )
    assert (second.kind, second.at, second.facts) == ("token.revoked", NOW + MINUTE, {"token": made.pk})


@pytest.mark.parametrize(
    ("name", "scopes", "expires_in"),
    [
        ("", ["accounts:read"], DAY),
        ("a\x00b", ["accounts:read"], DAY),
        ("x", [], DAY),
        ("x", ["all"], DAY),
        ("x", ["accounts:read"], timedelta(0)),
    ],
)
def test_no_token_is_made_of_nonsense(name: str, scopes: list[str], expires_in: timedelta) -> None:
    with pytest.raises(BadToken):
        tokens.make(name, scopes, by=Actor.system(), at=NOW, expires_at=NOW + expires_in)
    assert not ApiToken.objects.exists()


def test_two_that_stand_have_two_names() -> None:
    made, _text = tokens.make("product", ["accounts:read"], by=Actor.system(), at=NOW)
    with pytest.raises(NameTaken):
        tokens.make("product", ["accounts:read"], by=Actor.system(), at=NOW)
    tokens.revoke(made, by=Actor.system(), at=NOW)
    tokens.make("product", ["accounts:read"], by=Actor.system(), at=NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer {mistyped}",
        "Bearer {forged}",
        "Bearer ÿ",
    ],
)
def test_without_a_valid_token_nothing_is_said(header: str | None) -> None:
    call = Caller()
    other = tokens.make("other", ["accounts:read"], by=Actor.system(), at=NOW)[1]
    mistyped = call.text[:20] + ("a" if call.text[20] != "a" else "b") + call.text[21:]
    secret = f"{call.text[:12]}{other[12:-6]}"
    forged = secret + tokens._checksum(secret)
    response = asked(header and header.format(token=call.text, mistyped=mistyped, forged=forged))
    assert problem(response) == (401, "unauthorized")
    assert response["WWW-Authenticate"].startswith("Bearer")  # type: ignore[index]


def test_a_revoked_or_expired_token_opens_nothing_from_that_instant_on() -> None:
    at = clock.now()
    call = Caller(expires_at=at + DAY)
    with time_machine.travel(at + DAY - MINUTE, tick=False):
        assert call.get("accounts/").status_code == 200
    with time_machine.travel(at + DAY, tick=False):
        assert problem(call.get("accounts/")) == (401, "unauthorized")
    assert call.get("accounts/").status_code == 200
    tokens.revoke(call.token, by=Actor.system(), at=clock.now())
    assert problem(call.get("accounts/")) == (401, "unauthorized")


@pytest.mark.parametrize(("method", "path", "needed"), DOORS, ids=[f"{method} {path}" for method, path, _ in DOORS])
def test_each_door_is_opened_by_its_scope_alone(account: Account, method: str, path: str, needed: str) -> None:
    """What it answers then depends on what was sent: nothing, here."""
    path = (
        path.replace("{account_id}", str(account.pk))
        .replace("{external_id}", "u-1")
        .replace("{subscription_id}", "1")
        .replace("{erasure_request}", str(account.pk))
        .replace("{endpoint_id}", str(account.pk))
        .replace("{dispatch_id}", "1")
    )
    path = path.removeprefix(ROOT)
    for number, scope in enumerate(Scope.values):
        response = Caller(scope, name=str(number))(method, path)
        if scope == needed:
            assert response.status_code not in (401, 403, 500), scope
        else:
            assert problem(response) == (403, "missing_scope"), scope
            assert f'scope="{needed}"' in response["WWW-Authenticate"]
    everything_else = Caller(*sorted(set(Scope.values) - {needed}), name="all others")
    assert problem(everything_else(method, path)) == (403, "missing_scope")


def test_a_token_of_the_environment_asks_for_entitlements_and_for_nothing_else(account: Account) -> None:
    headers = {"Authorization": "Bearer test-api-token"}
    assert Client().get(f"{ROOT}accounts/{account.pk}/entitlements/", headers=headers).status_code == 200
    for method, path, needed in DOORS:
        if needed != Scope.ENTITLEMENTS_READ:
            path = (
                path.replace("{account_id}", str(account.pk))
                .replace("{erasure_request}", str(account.pk))
                .replace("{endpoint_id}", str(account.pk))
                .replace("{dispatch_id}", "1")
                .replace("{external_id}", "x")
                .replace("{subscription_id}", "1")
            )
            assert problem(Client().generic(method, path, headers=headers)) == (403, "missing_scope")


def test_a_use_is_noted_at_most_every_ten_minutes() -> None:
    at = clock.now()
    call = Caller()
    for minutes, noted in ((1, 1), (5, 1), (10, 1), (12, 12), (20, 12)):
        with time_machine.travel(at + minutes * MINUTE, tick=False):
            call.get("accounts/")
        call.token.refresh_from_db()
        assert call.token.last_used_at == at + noted * MINUTE


def test_finding_a_token_is_one_statement_and_a_mistyped_one_none(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    call = Caller()
    with django_assert_num_queries(1):
        assert tokens.find(call.text)
    with django_assert_num_queries(0):
        assert tokens.find(call.text[:-1] + ("0" if call.text[-1] != "0" else "1")) is None


def test_doctor_warns_of_tokens_that_expire_soon_or_that_nobody_uses() -> None:
    at = clock.now()
    for name, days in (("soon", 14), ("later", 15), ("gone", 0.001)):
        tokens.make(name, ["accounts:read"], by=Actor.system(), at=at, expires_at=at + days * DAY)
    for name, made, used in (("old", 91, None), ("idle", 200, 91), ("busy", 200, 1), ("new", 89, None)):
        row, _text = tokens.make(name, ["accounts:read"], by=Actor.system(), at=at - made * DAY)
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=used and at - used * DAY)
    dead, _text = tokens.make("dead", ["accounts:read"], by=Actor.system(), at=at - 300 * DAY)
    tokens.revoke(dead, by=Actor.system(), at=at)
    warned = {warning.name: sorted(warning.examples) for warning in invariants.warnings(at + DAY / 100)}
    assert warned["api-token-expires"] == ["soon"]
    assert warned["api-token-unused"] == ["idle", "old"]


def test_the_command_makes_lists_and_revokes() -> None:
    out, err = StringIO(), StringIO()
    call_command(
        "token", "billing", "--scope", "subscriptions:write", "--scope", "accounts:read", stdout=out, stderr=err
    )
    text = out.getvalue().strip()
    made = tokens.find(text)
    assert made is not None
    assert (made.name, made.scopes) == ("billing", ["accounts:read", "subscriptions:write"])
    assert "not shown again" in err.getvalue()
    listed = StringIO()
    call_command("token", stdout=listed)
    assert f"billing  off_{made.lookup}_…  accounts:read subscriptions:write  for ever, never used" in listed.getvalue()
    assert text not in listed.getvalue()
    call_command("token", "billing", "--revoke", stdout=StringIO())
    made.refresh_from_db()
    assert made.revoked_at is not None
    with pytest.raises(CommandError, match="no such token"):
        call_command("token", "billing", "--revoke", stdout=StringIO())
    with pytest.raises(CommandError, match="expires"):
        call_command("token", "x", "--scope", "accounts:read", "--expires", "1999-01-01")
    with pytest.raises(CommandError):
        call_command("token", "x", stdout=StringIO())
