"""API tokens: what the vendor's own systems sign their calls with.

A token is shown once, when it is made. Kept is its SHA-256: thirty-two random bytes cannot be guessed, so a fast hash
is enough, and it hangs on no secret that is changed one day. It looks like

    off_k3Jd81xQ_ + 43 characters of secret + 6 characters of CRC-32

so that scanners for leaked secrets know a real one when they see it, and a mistyped one costs no look into the
database. Several may be valid at once: to change one, make the next, then revoke the old one.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input
from accounts.core.refusal import Refused
from accounts.core.search_fields import no_controls
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.jobs import invariants

MAX_NAME = 80
PREFIX = "off"
LOOKUP = 8
SECRET_BYTES = 32
#: Written at most so often: a row that every call writes to would hold them all up.
NOTED_EVERY = timedelta(minutes=10)
#: Staff are told so long before a token expires, and of one that nobody has used for so long.
EXPIRES_SOON = timedelta(days=14)
UNUSED = timedelta(days=90)

_LETTERS = string.digits + string.ascii_letters
_TOKEN = re.compile(r"(off_([0-9A-Za-z]{8})_[0-9A-Za-z_-]{43})([0-9A-Za-z]{6})", re.ASCII)


class Scope(models.TextChoices):
    """What a token may do. Each is given by itself: who may write may not read because of it."""

    ACCOUNTS_READ = "accounts:read", _("Read accounts, members, plans, subscriptions and usage counts")
    ACCOUNTS_WRITE = "accounts:write", _("Create and change accounts and members, ask for deletions")
    SUBSCRIPTIONS_WRITE = "subscriptions:write", _("Record, change, cancel and end subscriptions")
    USAGE_WRITE = "usage:write", _("Push usage counts")
    ENDPOINTS_READ = "endpoints:read", _("Read endpoints, and what they were told")
    ENDPOINTS_WRITE = "endpoints:write", _("Make and change endpoints, and have messages sent again")
    ENTITLEMENTS_READ = "entitlements:read", _("Ask what an account may do")
    ERASURES_READ = "erasures:read", _("Read which accounts were to be erased, and when")
    ERASURES_REPORT = "erasures:report", _("Report that a store elsewhere has erased its part")
    EVENTS_READ = "events:read", _("Read the feed of what has happened to accounts")


class NameTaken(Refused):
    text = _("There is a token of this name. Revoke it first, or choose another name.")


class BadToken(Refused):
    """A name, scopes or an end that no token can have."""


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def standing(self) -> Self:
        """Those that nobody has revoked; expired ones, too."""
        return self.filter(revoked_at=None)

    def valid(self, at: datetime) -> Self:
        """Those that open doors at `at`."""
        return self.standing().filter(models.Q(expires_at=None) | models.Q(expires_at__gt=at))

    def expiring(self, at: datetime) -> Self:
        """Valid at `at`, and not for long any more."""
        return self.valid(at).filter(expires_at__lte=at + EXPIRES_SOON)

    def unused(self, at: datetime) -> Self:
        """Valid at `at`, and used by nobody for a quarter of a year."""
        long_ago = at - UNUSED
        return self.valid(at).filter(
            models.Q(last_used_at__lt=long_ago) | models.Q(last_used_at=None, made_at__lt=long_ago)
        )


class ApiToken(models.Model):
    """One token. Rows stay when they are revoked: the history names them by their ids."""

    name = models.CharField(_("name"), max_length=MAX_NAME)
    #: Its first eight random characters, by which it is found; they open nothing.
    lookup = models.CharField(_("begins with"), max_length=LOOKUP, unique=True, editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    scopes: "ArrayField[Any, Any]" = ArrayField(
        models.CharField(max_length=30, choices=Scope.choices), verbose_name=_("may"), default=list
    )
    made_at = models.DateTimeField(_("made"))
    # Staff by their ids: a token outlives whoever made it. None: made by a command.
    made_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("made by"),
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(revoked_at=None), name="api_token_one_standing_of_a_name"
            ),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values) & ~models.Q(scopes=[]),
                name="api_token_scopes_are_known",
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at=None) | models.Q(expires_at__gt=models.F("made_at")),
                name="api_token_expires_later",
            ),
            models.CheckConstraint(
                condition=models.Q(revoked_at=None) | models.Q(revoked_at__gte=models.F("made_at")),
                name="api_token_revoked_after_made",
            ),
            no_controls("name", name="api_token_name_is_one_line"),
        ]

    def __str__(self) -> str:
        return self.name

    def is_valid(self, at: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def note_use(self, at: datetime) -> None:
        """Note that it was used, at most every ten minutes."""
        due = at - NOTED_EVERY
        if self.last_used_at is None or self.last_used_at < due:
            stale = models.Q(last_used_at=None) | models.Q(last_used_at__lt=due)
            ApiToken.objects.filter(stale, pk=self.pk).update(last_used_at=at)


def make(
    name: str, scopes: Sequence[str], *, by: Actor, at: datetime, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Make a token. Returns its row, and the token itself, which nobody can read anywhere again.

    Raises `BadToken` for scopes that there are not, an end that is no later than now, a name that can't be written
    down, and `NameTaken`.
    """
    if not scopes or not set(scopes) <= set(Scope.values):
        raise BadToken(_("Say what it may do: %(scopes)s."), scopes=", ".join(Scope.values))
    if expires_at is not None and (expires_at <= at or not foreign_input.is_within_years(expires_at)):
        raise BadToken(_("A token has to expire later than now."))
    try:
        name = foreign_input.name(name, limit=MAX_NAME)
    except ValidationError as error:
        raise BadToken(" ".join(error.messages)) from error
    if not name:
        raise BadToken(_("A token needs a name: that of the system which uses it."))
    secret = f"{PREFIX}_{_random(LOOKUP)}_{secrets.token_urlsafe(SECRET_BYTES)}"
    token = f"{secret}{_checksum(secret)}"
    with transaction.atomic():
        if ApiToken.objects.standing().filter(name=name).exists():
            raise NameTaken
        made = ApiToken.objects.create(
            name=name,
            lookup=secret[len(PREFIX) + 1 :][:LOOKUP],
            digest=_digest(token),
            scopes=sorted(set(scopes)),
            made_at=at,
            made_by=by.user,
            expires_at=expires_at,
        )
        history.record(
            None,
            AccountEvent.TOKEN_MADE,
            at=at,
            by=by,
            token=made.pk,
            scopes=made.scopes,
            expires_at=expires_at.isoformat() if expires_at else None,
        )
    return made, token


def revoke(token: ApiToken, *, by: Actor, at: datetime) -> bool:
    """From now on it opens nothing. Returns whether it was not revoked before."""
    with transaction.atomic():
        if not ApiToken.objects.standing().filter(pk=token.pk).update(revoked_at=at):
            return False
        history.record(None, AccountEvent.TOKEN_REVOKED, at=at, by=by, token=token.pk)
    return True


def find(text: str) -> ApiToken | None:
    """The token that this is, valid or not; None for what was never one. One statement, none for a mistyped one."""
    parts = _TOKEN.fullmatch(text)
    if parts is None or not hmac.compare_digest(_checksum(parts[1]), parts[3]):
        return None
    found = ApiToken.objects.filter(lookup=parts[2]).first()
    if found is None or not hmac.compare_digest(found.digest, _digest(text)):
        return None
    return found


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(text: str) -> str:
    """CRC-32 in six digits of base 62: 62^6 is more than 2^32."""
    number = zlib.crc32(text.encode())
    digits = []
    for _place in range(6):
        number, digit = divmod(number, len(_LETTERS))
        digits.append(_LETTERS[digit])
    return "".join(reversed(digits))


INVARIANTS = (
    invariants.Invariant(
        "api-token-expires",
        _("API tokens expire within two weeks"),
        lambda at: ApiToken.objects.expiring(at),
        example="name",
        warning=True,
    ),
    invariants.Invariant(
        "api-token-unused",
        _("API tokens that nobody has used for 90 days: revoke them"),
        lambda at: ApiToken.objects.unused(at),
        example="name",
        warning=True,
    ),
)
