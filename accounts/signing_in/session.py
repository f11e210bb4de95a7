"""Sessions: who is signed in where. Django's own store, kept so that a dump of the database opens nothing.

The browser holds the key; the table holds its hash, and what a session remembers is encrypted. Beside that stand two
columns that say whose it is: `user`, the person who is signed in or half way there, and `addresses`, keyed hashes of
every address that it remembers, for sign-ins that came to no person. By them an erasing finds all of somebody's
sessions without opening one, and a new password ends all others.

A session notes when its sign-in happened (`signed_in_at`): what ends or gives away an account asks for a fresh proof
(`accounts.fresh_proof`). One that opens the support desk is short from then on (`shorten`).
"""

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.http import base36_to_int
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, encryption
from accounts.customers.user import User
from accounts.jobs import sweeps
from accounts.jobs.batches import run_batches
from accounts.jobs.queues import Queue

#: Where a session keeps when its sign-in happened, in seconds since 1970.
SIGNED_IN_AT = "signed_in_at"
#: Where a session of the desk keeps when it ends, whatever happens meanwhile.
ENDS_AT = "ends_at"
#: A working day. A desk left alone overnight is closed in the morning.
DESK_SESSION = timedelta(hours=8)
#: Where django-allauth keeps a sign-in that is half way, and in it the person, in base 36.
_HALF_WAY = "account_login"
#: No session needs to remember more addresses than a form has fields.
_MOST_ADDRESSES = 50
_ADDRESS = re.compile(r"""[^\s<>()"',;:\\]+@[^\s<>()"',;:\\]+""")
#: Where a session keeps its `SignedInPlace`.
_PLACE = "place"
_MOST_PLACES = 100
#: Marks in what browsers say of themselves; each also says the ones below it.
_BROWSERS = {"Firefox/": "Firefox", "Edg/": "Edge", "OPR/": "Opera", "Chrome/": "Chrome", "Safari/": "Safari"}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}
#: A run of the sweep ends after this long; the next one goes on.
RUN = timedelta(minutes=5)
#: Deleted by one statement.
BATCH = 5000
_SWEPT_EVERY = timedelta(days=1)


class SessionQuerySet(models.QuerySet["Session"]):
    def of(self, user: User) -> Self:
        """Where this person is signed in, or half way there."""
        return self.filter(user=user)

    def expired(self, at: datetime) -> Self:
        return self.filter(expire_date__lt=at)


class Session(AbstractBaseSession):
    """One browser's session. What it remembers is read through `SessionStore` alone."""

    #: The hash of the key that the browser holds (`hash_of_key`).
    session_key = models.CharField(_("session key"), max_length=64, primary_key=True)
    #: No constraint in the database: a session that is saved while its person is being erased must not fail its page.
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="sessions",
        verbose_name=_("person"),
    )
    addresses = ArrayField(models.CharField(max_length=64), default=list, verbose_name=_("addresses, hashed"))

    objects = SessionQuerySet.as_manager()  # type: ignore[misc,assignment]  # Django encodes by its own, nobody here does

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        indexes = [GinIndex(fields=["addresses"], name="session_addresses", condition=~models.Q(addresses=[]))]

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        return SessionStore


class SessionStore(DatabaseStore):
    """`SESSION_ENGINE`: the browser's key is hashed on its way to the database, the contents are encrypted."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if key == SESSION_KEY:
            # However somebody signs in, this is where it shows.
            super().__setitem__(SIGNED_IN_AT, time.time())

    def encode(self, session_dict: dict[str, Any]) -> str:
        return encryption.encrypt(self.serializer().dumps(session_dict).decode("latin-1")).decode("ascii")

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """What was remembered; nothing, as if it had just begun, where it can't be read any more."""
        try:
            told = session_data.encode() if isinstance(session_data, str) else session_data
            found: dict[str, Any] = self.serializer().loads(encryption.decrypt(told).encode("latin-1"))
        except (encryption.Undecipherable, ValueError):
            return {}
        return found

    def exists(self, session_key: str) -> bool:
        return super().exists(hash_of_key(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row = cast(Session, super().create_model_instance(data))
        row.session_key = hash_of_key(row.session_key)
        row.user_id = _person(data)
        row.addresses = hashes_of(_texts(data))
        return row

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            Session.objects.filter(session_key=hash_of_key(key)).delete()

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Seconds until it ends; of a session of the desk not beyond its working day."""
        age: int = super().get_expiry_age(**kwargs)
        ends_at = self.get(ENDS_AT)
        return max(0, min(age, int(ends_at - time.time()))) if ends_at else age

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        date: datetime = super().get_expiry_date(**kwargs)
        ends_at = self.get(ENDS_AT)
        return min(date, datetime.fromtimestamp(ends_at, tz=date.tzinfo)) if ends_at else date

    def _get_session_from_db(self) -> Session | None:
        row = hash_of_key(self.session_key or "")
        found: Session | None = Session.objects.filter(session_key=row, expire_date__gt=clock.now()).first()
        if found is None:
            self._session_key = None
        return found

    # The same for whoever asks asynchronously: no way leads past the hash.

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return await sync_to_async(self.create_model_instance)(data)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()


def hash_of_key(session_key: str) -> str:
    """What stands in the table for a key. A key has 165 random bits: nothing is gained by hashing it slowly."""
    return hashlib.sha256(session_key.encode()).hexdigest()


def hashes_of(texts: Iterable[str]) -> list[str]:
    """Keyed hashes of the addresses in these texts, for the column `addresses`. Capitals make no difference."""
    found = {address.lower() for text in texts for address in _ADDRESS.findall(text)}
    return sorted(
        salted_hmac("accounts.signing_in.session", address, algorithm="sha256").hexdigest() for address in found
    )[:_MOST_ADDRESSES]


def signed_in_at(request: HttpRequest) -> float | None:
    """When the sign-in of this session happened, in seconds since 1970; None where nobody is signed in."""
    found: float | None = request.session.get(SIGNED_IN_AT)
    return found


def shorten(request: HttpRequest) -> None:
    """Have this session end a working day after it first opened the desk, whatever its owner does meanwhile."""
    if ENDS_AT not in request.session:
        request.session[ENDS_AT] = time.time() + DESK_SESSION.total_seconds()


@dataclass(frozen=True)
class SignedInPlace:
    """Where somebody is signed in, as far as it is known."""

    browser: str
    address: str
    since: datetime | None
    is_here: bool


def note_place(request: HttpRequest, address: str) -> None:
    """Have the session remember the browser and the network address of its sign-in, for the page that lists them."""
    request.session[_PLACE] = [browser_of(request.headers.get("User-Agent", "")), address]


def places_of(user: User, *, here: str | None, at: datetime) -> list[SignedInPlace]:
    """Where somebody is signed in at `at`, the newest first; `here` is the key of the reader's own session."""
    places = []
    for row in Session.objects.of(user).filter(expire_date__gt=at)[:_MOST_PLACES]:
        remembered = row.get_decoded()
        if SESSION_KEY not in remembered:
            continue
        browser, address = remembered.get(_PLACE, ("", ""))
        since = remembered.get(SIGNED_IN_AT)
        places.append(
            SignedInPlace(
                browser,
                address,
                datetime.fromtimestamp(since, tz=UTC) if since else None,
                is_here=bool(here) and row.session_key == hash_of_key(here or ""),
            )
        )
    return sorted(places, key=lambda place: place.since or datetime.min.replace(tzinfo=UTC), reverse=True)


def browser_of(agent: str) -> str:
    """A browser and its system, as their owner would call them; empty where it can't be told."""
    browser = next((name for mark, name in _BROWSERS.items() if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in agent), "")
    return ", ".join(part for part in (browser, system) if part)


def end_all(user: User, *, but: str | None = None) -> int:
    """Sign somebody out everywhere; not in the session of this key. Returns in how many places that was."""
    sessions = Session.objects.of(user)
    ended, _by_model = (sessions.exclude(session_key=hash_of_key(but)) if but else sessions).delete()
    return ended


def forget_expired(at: datetime) -> int:
    """Delete the sessions that have ended, in batches. Returns how many."""

    def forget(rows: "models.QuerySet[Session]", batch: int) -> int:
        with transaction.atomic():
            return rows.filter(pk__in=list(rows.values_list("pk", flat=True)[:batch])).delete()[0]

    return run_batches(Session.objects.expired(at).order_by("pk"), forget, batch=BATCH, run=RUN, noted=False)


def preview(at: datetime) -> Iterator[str]:
    count = Session.objects.expired(at).count()
    if count:
        yield f"{count} sessions have ended"


def _person(data: dict[str, Any]) -> int | None:
    """Who is signed in, or half way there: the password was right, the second factor is still owed."""
    if person := data.get(SESSION_KEY):
        return int(person)
    half_way = data.get(_HALF_WAY)
    if isinstance(half_way, dict) and half_way.get("user_pk"):
        return base36_to_int(half_way["user_pk"])
    return None


def _texts(value: Any) -> Iterator[str]:
    """Every text somewhere in what a session remembers."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


SWEEP = sweeps.Sweep(
    "sessions", run=forget_expired, preview=preview, late_after=2 * _SWEPT_EVERY, queue=Queue.SLOW, alone=True
)
