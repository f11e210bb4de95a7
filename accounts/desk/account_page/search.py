"""Finding an account by whatever a customer or a colleague quotes: a name, an email, a login, a reference, an id.

Each app declares how it finds accounts by what it knows; the lists of the desk find their rows by the same, and by
what a row is called itself (`Way`). What is searched for takes the same way through `accounts.core.foreign_input` as
what is stored. Every search is one statement over an index.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts.core import foreign_input, references
from accounts.core.registry import Registry, function_name
from accounts.customers.account import Account, Membership
from accounts.customers.history import Event
from accounts.customers.user import User
from accounts.erasure.certificates import Certificate
from accounts.support.requests import SupportRequest

#: More than a person looks through; a longer list says "be more precise".
MOST = 50
#: Longer than any name, address or link to an account's page.
LONGEST = 300
#: Fewer letters begin too many addresses to mean one.
SHORTEST_ADDRESS = 3
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")

#: Given the trimmed text of a search: the ids of accounts, not many more than `MOST`.
Finder = Callable[[str], Iterable[uuid.UUID]]
FINDERS: Registry[Finder] = Registry(key=function_name)


def find(text: str) -> list[uuid.UUID]:
    """The accounts that `text` may mean, each once, the surest first; also such as have been erased, by their ids."""
    text = as_typed(text)
    if not text:
        return []
    found: dict[uuid.UUID, None] = {}
    for finder in FINDERS.all():
        found.update(dict.fromkeys(finder(text)))
    return list(found)[:MOST]


def as_typed(text: str) -> str:
    """What somebody searches for, on one line and of a length that a name can have."""
    return foreign_input.name_told(text, limit=LONGEST)


#: Given the trimmed text of a search: which rows of a list it may mean. None where it can't mean any.
Way = Callable[[str], Q | None]


def same(field: str, canonical: Callable[[str], str] = str) -> Way:
    """Rows whose field is just this text, in its canonical form; empty: it can't be."""
    return lambda text: Q(**{field: form}) if (form := canonical(text)) else None


def of_account(field: str = "account_id") -> Way:
    """Rows of the accounts that the text may mean."""
    return lambda text: Q(**{f"{field}__in": found}) if (found := find(text)) else None


def person(text: str) -> Q:
    """People by the beginning of their address, by the words of their name, or by the vendor's id of them."""
    return Q(pk__in=[user.pk for user in (*_with_external_id(text), *_with_address(text), *_with_name(text))])


def some(rows: "QuerySet[Any]") -> list[Any]:
    """The keys of up to `MOST` rows that a condition finds by an index, however the list around it is ordered."""
    with _by_bitmap():
        return list(rows.order_by().values_list("pk", flat=True)[:MOST])


def _by_id(text: str) -> Iterable[uuid.UUID]:
    """An account's own id, erased or not: its history outlives it. Also within the address of its page."""
    for found in _UUID.findall(text):
        account_id = uuid.UUID(found)
        if Account.objects.filter(pk=account_id).exists() or Event.objects.filter(account_id=account_id).exists():
            yield account_id


def _by_external_id(text: str) -> Iterable[uuid.UUID]:
    """By what the vendor's own systems call the account, or one of its people."""
    if external_id := foreign_input.external_id_or_nothing(text):
        yield from Account.objects.filter(external_id=external_id).values_list("pk", flat=True)
        yield from _places(_with_external_id(external_id))


def _with_external_id(text: str) -> "QuerySet[User]":
    # No id: nobody's.
    return User.objects.filter(external_id=foreign_input.external_id_or_nothing(text))


def _by_reference(text: str) -> Iterable[uuid.UUID]:
    reference = references.canonical(text)
    return SupportRequest.objects.filter(reference=reference).values_list("account_id", flat=True) if reference else ()


def _by_address(text: str) -> Iterable[uuid.UUID]:
    """Members by the beginning of their address."""
    return _places(_with_address(text))


def _with_address(text: str) -> list[User]:
    address = foreign_input.beginning_of_address(text)
    if len(address) < SHORTEST_ADDRESS or " " in address or address.startswith("@"):
        return []
    return [*User.objects.filter(email=address), *User.objects.filter(email__startswith=address)[:MOST]]


def _by_certificate(text: str) -> Iterable[uuid.UUID]:
    number = text.lstrip("#")
    if not (number.isascii() and number.isdecimal()) or len(number) > 9:
        return []
    return Certificate.objects.filter(number=int(number)).values_list("account_id", flat=True)


def _by_name(text: str) -> Iterable[uuid.UUID]:
    """Accounts of just this name, then those in whose name every word of the text begins a word."""
    yield from Account.objects.filter(name=text).values_list("pk", flat=True)[:MOST]
    with _by_bitmap():
        found = list(Account.objects.filter(words__begin=text).values_list("name", "pk")[:MOST])
    yield from (pk for _name, pk in sorted(found))


def _by_person(text: str) -> Iterable[uuid.UUID]:
    """Where people are members in whose name every word of the text begins a word."""
    return _places(_with_name(text))


def _with_name(text: str) -> list[User]:
    with _by_bitmap():
        return list(User.objects.filter(words__begin=text)[:MOST])


def _places(people: Iterable[User]) -> Iterable[uuid.UUID]:
    """Where they are members. After the people: joined at once, half a million would be sorted for fifty."""
    places = Membership.objects.filter(user__in=people).order_by("user__email", "account_id")
    return places.values_list("account_id", flat=True)


@contextmanager
def _by_bitmap() -> Iterator[None]:
    """Within: searches collect the places of all matches from the index first.

    Left to itself the planner takes a rare word for a common one, reads the table from its beginning, and finds the
    fifty rows that it needs at the very end, or never (measured: 2.4 s among a million).
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        yield


#: This app's own, the surest first.
OWN_FINDERS = (
    _by_id,
    _by_external_id,
    _by_reference,
    _by_address,
    _by_certificate,
    _by_name,
    _by_person,
)
