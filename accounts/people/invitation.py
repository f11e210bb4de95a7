"""Invitations: who was asked into an account, as what, by whom, until when.

The link in the mail proves the address that it was sent to; only somebody who signs in by that address can join by it.
Its token is no secret that is kept: it is computed from the row and `SECRET_KEY` while the mail is written, and the row
holds its hash. So a dump of the database opens nothing, and each new mail ends the link of the one before.
"""

import hashlib
import uuid
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refused_while_erasing
from accounts.customers.account import Account, Role
from accounts.customers.user import User

#: Long enough for a week away, shorter than most mailboxes are somebody else's.
VALID_FOR = timedelta(days=7)
#: As what somebody can be invited. There is one owner, who hands the account over (`accounts.support.ownership`).
ROLES = (Role.USER, Role.ADMIN)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def unanswered(self) -> Self:
        """Neither accepted nor revoked; maybe expired."""
        return self.filter(accepted_at=None, revoked_at=None)

    def open(self, at: datetime) -> Self:
        """Those by which somebody can still join, as far as the invitation goes."""
        return self.unanswered().filter(expires_at__gt=at)

    def to(self, user: User) -> Self:
        return self.filter(email=user.email)

    def with_token(self, token: str) -> "Invitation | None":
        """The invitation that this link was made for; None for an unknown one, and for one that was replaced."""
        found = self.filter(token_hash=hash_of(token)).select_related("account", "invited_by").first()
        return found if found and constant_time_compare(found.token_hash, hash_of(token)) else None


class Invitation(models.Model):
    """One address asked into one account. Erased with the account, and thirty days after it has ended."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="invitations", verbose_name=_("account")
    )
    email = models.EmailField(_("email address"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    invited_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("invited by")
    )
    invited_at = models.DateTimeField(_("invited"))
    expires_at = models.DateTimeField(_("expires"))
    #: How many mails have been queued; the link in the newest one works.
    mails = models.PositiveIntegerField(_("mails"), default=0)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        indexes = [models.Index(fields=["email"], name="invitation_by_address")]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="invitation_one_open_an_address",
            ),
            models.CheckConstraint(condition=models.Q(role__in=ROLES), name="invitation_role_is_offered"),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("invited_at")), name="invitation_expires_later"
            ),
            models.CheckConstraint(
                condition=models.Q(accepted_at=None) | models.Q(revoked_at=None), name="invitation_ends_once"
            ),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return str(self.pk)

    def is_open(self, at: datetime) -> bool:
        return self.accepted_at is None and self.revoked_at is None and at < self.expires_at

    def token(self) -> str:
        """The secret part of the link in the newest mail."""
        return salted_hmac("accounts.people.invitation", f"{self.pk} {self.mails}", algorithm="sha256").hexdigest()

    def occasion(self) -> str:
        """Of the newest mail."""
        return f"invitation:{self.pk}:{self.mails}"


def hash_of(token: str) -> str:
    """What stands in the row for a token. It has 256 bits that nobody can guess: nothing is gained by a slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
