"""A dump of the database gives nobody a second factor."""

from importlib import import_module

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.apps import apps
from django.db import connection

from accounts.models import User

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXP"  # a test's


def code() -> str:
    return str(format_hotp_value(hotp_value(SECRET, next(iter(yield_hotp_counters_from_time())))))


def dump() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT mfa_authenticator::text FROM mfa_authenticator")
        return str(cursor.fetchall())


def test_secrets_and_recovery_seeds_are_encrypted(owner: User) -> None:
    TOTP.activate(owner, SECRET)
    codes = RecoveryCodes.activate(owner)
    assert SECRET not in dump()
    assert all(Authenticator.objects.get(type=kind).data[name].startswith("gAAAA") for kind, name in
               (("totp", "secret"), ("recovery_codes", "seed")))  # fmt: skip
    first = codes.generate_codes()[0]
    assert RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).validate_code(first)
    assert TOTP(Authenticator.objects.get(type="totp")).validate_code(code())


def test_what_was_there_before_is_encrypted_once_and_works_as_before(owner: User, stranger: User) -> None:
    Authenticator.objects.create(user=owner, type="totp", data={"secret": SECRET})
    seed = RecoveryCodes.generate_seed()
    Authenticator.objects.create(user=owner, type="recovery_codes", data={"seed": seed, "used_mask": 1})
    Authenticator.objects.create(user=stranger, type="recovery_codes", data={"migrated_codes": ["123456", "654321"]})
    migration = import_module("accounts.migrations.0012_second_factors")
    for _time in range(2):
        migration.encrypt_secrets(apps, connection.schema_editor())
        assert not any(text in dump() for text in (SECRET, seed, "123456"))
    assert TOTP(Authenticator.objects.get(type="totp")).validate_code(code())
    mine = RecoveryCodes(Authenticator.objects.get(user=owner, type="recovery_codes"))
    assert len(mine.get_unused_codes()) == len(mine.generate_codes()) - 1
    theirs = RecoveryCodes(Authenticator.objects.get(user=stranger))
    assert theirs.validate_code("654321")
    assert theirs.get_unused_codes() == ["123456"]
