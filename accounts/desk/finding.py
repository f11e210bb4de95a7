"""Finding an account by whatever a customer or a colleague quotes: a name, an e-mail, a login, a reference, an id.

Each app registers how it finds accounts by what it knows. Every search is one statement over an index.
"""

import re
import uuid
from collections.abc import Callable, Iterable
from itertools import islice

from django.contrib.postgres.search import SearchQuery, SearchVector

from accounts.account import Account, Membership
from accounts.certificates import Certificate
from accounts.history import Event
from accounts.support import SupportRequest

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
    places = Membership.objects.filter(user__email__startswith=text.lower()).order_by("user__email")
    return places.values_list("account_id", flat=True)[:MOST]


def _by_certificate(text: str) -> Iterable[uuid.UUID]:
    if not text.isdecimal() or len(text) > 9:
        return []
    return Certificate.objects.filter(number=int(text)).values_list("account_id", flat=True)


def _by_name(text: str) -> Iterable[uuid.UUID]:
    """Accounts and members in whose name every word of the text begins a word."""
    words = re.findall(r"\w+", text)
    if not words:
        return []
    query = SearchQuery(" & ".join(f"{word}:*" for word in words), search_type="raw", config="simple")
    named = Account.objects.annotate(words=SearchVector("name", config="simple")).filter(words=query)
    return named.order_by("name", "id").values_list("pk", flat=True)[:MOST]
