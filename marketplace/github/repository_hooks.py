"""Repository webhooks that the product made for a customer, registered here so that they can be removed.

The product registers each by API (`PUT /api/accounts/<uuid>/github-hooks/`) or in code (`register_hook`).
"""

import re
from datetime import datetime
from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refused_while_erasing
from accounts.models import Account

#: `owner/name` as GitHub allows it; nothing else may become part of a URL.
REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")


class RepositoryHookQuerySet(models.QuerySet["RepositoryHook"]):
    def remaining(self) -> Self:
        """Not deleted, as far as we know."""
        return self.filter(deleted_at=None)


class RepositoryHook(models.Model):
    """One webhook in one repository, made by us."""

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="repository_hooks", verbose_name=_("account")
    )
    repository = models.CharField(_("repository"), max_length=141)
    hook_id = models.BigIntegerField(_("hook id"))
    #: The person at GitHub whose token made it, if the product knows.
    github_user_id = models.BigIntegerField(_("made with the token of"), null=True, blank=True)
    registered_at = models.DateTimeField(_("registered"))
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True)
    #: Why it could not be deleted, for staff.
    last_error = models.CharField(_("last error"), max_length=300, blank=True)

    objects = RepositoryHookQuerySet.as_manager()

    class Meta:
        verbose_name = _("repository hook")
        verbose_name_plural = _("repository hooks")
        constraints = [models.UniqueConstraint(fields=["repository", "hook_id"], name="hook_is_unique")]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.repository} {self.hook_id}"


def register_hook(
    account: Account, *, repository: str, hook_id: int, github_user_id: int | None, at: datetime
) -> tuple[RepositoryHook, bool]:
    """Note a hook that the product has made. Again is harmless. Returns it, and whether it is new.

    Raises `ValidationError` for what is no repository, and for a hook that another account has registered.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValidationError(_("“repository” must be owner/name."))
    hook, new = RepositoryHook.objects.get_or_create(
        repository=repository,
        hook_id=hook_id,
        defaults={"account": account, "github_user_id": github_user_id, "registered_at": at},
    )
    if hook.account_id != account.pk:
        raise ValidationError(_("This hook is registered for another account."))
    return hook, new
