"""Mails handed over to a folder (`EMAIL_URL=filemail://…`): a store of files beside the database.

The folder stands in for a mail server where there is none. What lies in it is the customer's data as much as the row
it was written from, so a purge deletes the mails of the account's notices, and every mail to people who go with it.
Mails that a real server has taken are out of reach.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.headerregistry import AddressHeader
from email.parser import BytesHeaderParser
from email.policy import default
from itertools import islice
from pathlib import Path

from django.conf import settings

from accounts.customers.user import User
from accounts.erasure.inventory import Eraser
from accounts.erasure.people import people_about_to_go
from accounts.mail.notices import Notice

#: Mails looked into at once.
BATCH = 500
#: The name of a notice's mail (`accounts.mail.sending.write`, `config.mail`).
_NOTICE = re.compile(r"notice-([0-9a-f-]{36})-")


@dataclass(frozen=True)
class _Mail:
    path: Path
    #: The notice that it was written from; None for what sign-in sent.
    notice: uuid.UUID | None
    readers: frozenset[str]


def erase(account_id: uuid.UUID) -> int:
    """Delete the account's mails from the folder. Returns how many."""
    erased = 0
    for mail in _mails_of(account_id):
        mail.path.unlink(missing_ok=True)
        erased += 1
    return erased


def count(account_id: uuid.UUID) -> int:
    """How many of the account's mails lie in the folder, as long as it is known whose they are."""
    return sum(1 for _mail in _mails_of(account_id))


def _mails_of(account_id: uuid.UUID) -> Iterator[_Mail]:
    found = _mails()
    while batch := list(islice(found, BATCH)):
        notices = set(
            Notice.objects.filter(
                account_id=account_id, pk__in=[mail.notice for mail in batch if mail.notice]
            ).values_list("pk", flat=True)
        )
        readers = set(
            User.objects.filter(
                email__in={reader for mail in batch for reader in mail.readers},
                pk__in=people_about_to_go(account_id),
                is_staff=False,
            ).values_list("email", flat=True)
        )
        yield from (mail for mail in batch if mail.notice in notices or mail.readers & readers)


def _mails() -> Iterator[_Mail]:
    folder = _folder()
    for path in folder.glob("*.eml") if folder else ():
        try:
            with path.open("rb") as file:
                to = BytesHeaderParser(policy=default).parse(file)["To"]
        except FileNotFoundError:
            continue
        notice = _NOTICE.match(path.name)
        addresses = to.addresses if isinstance(to, AddressHeader) else ()
        yield _Mail(
            path,
            uuid.UUID(notice[1]) if notice else None,
            frozenset(address.addr_spec.lower() for address in addresses),
        )


def _folder() -> Path | None:
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    return Path(folder) if folder else None


#: Listed where that is where mails go.
ERASERS = (Eraser("mail folder", erase, count),) if _folder() else ()
