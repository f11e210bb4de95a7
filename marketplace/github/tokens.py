"""The tokens that people gave us at GitHub: stored encrypted, shown and logged nowhere.

A revoked token's text is removed; the row stays until the person is erased, to say that it is gone.
"""

from datetime import datetime
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.encryption import decrypt, encrypt
from accounts.models import User


class UserTokenQuerySet(models.QuerySet["UserToken"]):
    def alive(self) -> Self:
        """Not revoked, as far as we know."""
        return self.filter(revoked_at=None)

    def said_to_be_revoked(self) -> Self:
        """Those of which GitHub is to be asked whether they are still good."""
        return self.alive().filter(revocation_said_at__isnull=False).order_by("revocation_said_at", "pk")


class UserToken(models.Model):
    """A person's authorisation of our app. One alive for each person at GitHub."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="github_tokens", verbose_name=_("person"))
    github_user_id = models.BigIntegerField(_("GitHub's id"))
    login = models.CharField(_("login"), max_length=200)
    access = models.BinaryField(null=True, editable=False)
    refresh = models.BinaryField(null=True, editable=False)
    scopes = models.CharField(_("scopes"), max_length=300, blank=True)
    obtained_at = models.DateTimeField(_("obtained"))
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    #: When GitHub told us that the person took their authorisation back: it is asked whether that is so.
    revocation_said_at = models.DateTimeField(_("said to be revoked"), null=True, blank=True)

    objects = UserTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("GitHub token")
        verbose_name_plural = _("GitHub tokens")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "github_user_id"], condition=models.Q(revoked_at=None), name="token_one_alive"
            ),
            models.CheckConstraint(
                condition=models.Q(revoked_at=None, access__isnull=False)
                | models.Q(revoked_at__isnull=False, access=None, refresh=None),
                name="token_gone_when_revoked",
            ),
        ]

    def __str__(self) -> str:
        return self.login

    def text(self) -> str:
        """The token itself, for the one call that needs it."""
        assert self.access is not None, "revoked"
        return decrypt(self.access)

    def renew(self, *, access: str, refresh: str, expires_at: datetime | None) -> None:
        """Store what GitHub gave in exchange for the refresh token, which is used up."""
        self.access, self.refresh, self.expires_at = encrypt(access), encrypt(refresh) if refresh else None, expires_at
        self.save(update_fields=["access", "refresh", "expires_at"])

    def forget(self, at: datetime) -> None:
        """It is revoked: remove its text."""
        self.access = self.refresh = None
        self.revoked_at = at
        self.save(update_fields=["access", "refresh", "revoked_at"])


def keep(
    user: User,
    *,
    github_user_id: int,
    login: str,
    access: str,
    refresh: str,
    scopes: str,
    expires_at: datetime | None,
    at: datetime,
) -> UserToken:
    """Store a fresh authorisation in place of an older one."""
    token, _created = UserToken.objects.update_or_create(
        user=user,
        github_user_id=github_user_id,
        revoked_at=None,
        defaults={
            "login": login,
            "access": encrypt(access),
            "refresh": encrypt(refresh) if refresh else None,
            "scopes": scopes[:300],
            "obtained_at": at,
            "expires_at": expires_at,
            "revocation_said_at": None,
        },
    )
    return token
