"""Finding an account by whatever a customer or a colleague quotes: a name, an e-mail, a login, a reference, an id.

Each app registers how it finds accounts by what it knows. Every search is one statement over an index.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import connection, transaction

from accounts.account import Account, Membership
from accounts.certificates import Certificate
from accounts.history import Event
from accounts.support import SupportRequest
from accounts.user import User

#: More than a person looks through; a longer list says "be more precise".
MOST = 50

#: Given the trimmed text of a search: the ids of accounts, at most `MOST` of interest.
Finder = Callable[[str], Iterable[uuid.UUID]]
_finders: list[Finder] = []


def register_finder(*finders: Finder) -> None:
    """Add ways of finding accounts. Each app calls this from its `AppConfig.ready`."""
    _finders.extend(finders)


def register() -> None:
    """Register this app's own. Called once, by `AccountsConfig.ready`."""
    register_finder(_by_id, _by_reference, _by_mail, _by_certificate, _by_name)


def find(text: str) -> list[uuid.UUID]:
    """The accounts that `text` may mean, each once, the surest first; also such as have been erased, by their ids."""
    text = text.replace("\0", "").strip()
    if not text:
        return []
    found: dict[uuid.UUID, None] = {}
    for finder in _finders:
        found.update(dict.fromkeys(islice(finder(text), MOST)))
    return list(found)[:MOST]


def _by_id(text: str) -> Iterable[uuid.UUID]:
    """An account's own id, erased or not: its history outlives it."""
    try:
        account_id = uuid.UUID(text)
    except ValueError:
        return []
    known = Account.objects.filter(pk=account_id).exists() or Event.objects.filter(account_id=account_id).exists()
    return [account_id] if known else []


def _by_reference(text: str) -> Iterable[uuid.UUID]:
    return SupportRequest.objects.filter(reference=text.upper()).values_list("account_id", flat=True)


def _by_mail(text: str) -> Iterable[uuid.UUID]:
    """Members by the beginning of their address."""
    if "@" not in text:
        return []
    # First the people, then their places: joined at once, half a million of them would be sorted for fifty.
    address = text.lower()
    people = [*User.objects.filter(email=address), *User.objects.filter(email__startswith=address)[:MOST]]
    places = Membership.objects.filter(user__in=people).order_by("user__email", "account_id")
    return places.values_list("account_id", flat=True)


def _by_certificate(text: str) -> Iterable[uuid.UUID]:
    if not text.isdecimal() or len(text) > 9:
        return []
    return Certificate.objects.filter(number=int(text)).values_list("account_id", flat=True)


def _by_name(text: str) -> Iterable[uuid.UUID]:
    """Accounts in whose name every word of the text begins a word."""
    words = re.findall(r"\w+", text)
    if not words:
        return []
    query = SearchQuery(" & ".join(f"{word}:*" for word in words), search_type="raw", config="simple")
    named = Account.objects.annotate(words=SearchVector("name", config="simple")).filter(words=query)
    with _by_bitmap():
        found = list(named.values_list("name", "pk")[:MOST])
    return [pk for _name, pk in sorted(found)]


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
