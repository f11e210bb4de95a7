"""Secrets in the database are encrypted, so that a dump of it opens nothing.

`FIELD_ENCRYPTION_KEYS` encrypts with its first key and reads with all, so a key is rotated by putting a new one in
front.
"""

from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Undecipherable(Exception):
    """None of `FIELD_ENCRYPTION_KEYS` decrypts it: a key was removed too early."""


@cache
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> bytes:
    """ASCII bytes that only the holder of the keys can read, and that nobody else can have written."""
    return _box(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(text.encode())


def decrypt(encrypted: bytes | memoryview) -> str:
    """What was encrypted. Raises `Undecipherable`."""
    try:
        return _box(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(bytes(encrypted)).decode()
    except InvalidToken:
        raise Undecipherable("no key of FIELD_ENCRYPTION_KEYS decrypts this") from None
