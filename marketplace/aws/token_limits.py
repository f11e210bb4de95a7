"""How often AWS is asked, in our name, about registration tokens that anybody can make up.

The landing (`marketplace.aws.views.register`) is open to all, and each token costs a call with our credentials while a
thread waits. So a token that AWS has refused is remembered, a client that brings many of those is not listened to for a
while, nor is anybody once very many have come; and only so many calls wait at once. Who comes from AWS has one token,
and it is good.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.http import HttpRequest

from accounts.core.client_address import client_address, network_of

#: Seconds in which refused tokens are counted, and for which they are remembered.
WINDOW = 600
#: So many refused ones of one client: more than a person comes to who tries an old address again and again.
MOST_OF_A_CLIENT = 10
#: So many of all clients together: beyond that somebody tries many tokens from many addresses.
MOST_OF_ALL = 200
#: So many calls may wait for AWS at once in a process; a call takes up to 13 seconds, and the process has other work.
MOST_AT_ONCE = 4

_slots = threading.BoundedSemaphore(MOST_AT_ONCE)


class TooManyRefusedTokens(Exception):
    """Too many refused tokens came from there, or from everywhere."""


class Busy(Exception):
    """As many calls as may wait are waiting."""


def check(request: HttpRequest) -> None:
    """Raise `TooManyRefusedTokens` if this client's tokens are not looked at for the moment."""
    if cache.get(_key_of(request), 0) >= MOST_OF_A_CLIENT or cache.get(_OF_ALL, 0) >= MOST_OF_ALL:
        raise TooManyRefusedTokens


def was_refused(token: str) -> bool:
    """Whether AWS refused this token a moment ago: it would again."""
    return bool(cache.get(_key_of_token(token)))


def note_refused(request: HttpRequest, token: str) -> None:
    """Remember a token that AWS refused, and count it."""
    cache.set(_key_of_token(token), 1, WINDOW)
    for key in (_key_of(request), _OF_ALL):
        cache.add(key, 0, WINDOW)
        try:
            cache.incr(key)
        except ValueError:
            # Its time was over between the two: the next one begins anew.
            cache.set(key, 1, WINDOW)


@contextmanager
def slot() -> Iterator[None]:
    """A place among the calls that wait for AWS. Raises `Busy` at once if there is none."""
    if not _slots.acquire(blocking=False):
        raise Busy
    try:
        yield
    finally:
        _slots.release()


_OF_ALL = "aws-tokens-refused"


def _key_of(request: HttpRequest) -> str:
    return f"{_OF_ALL}:{network_of(client_address(request))}"


def _key_of_token(token: str) -> str:
    """A token stands for a buyer, and is kept nowhere."""
    return f"aws-token-refused:{hashlib.sha256(token.encode(errors='replace')).hexdigest()}"
