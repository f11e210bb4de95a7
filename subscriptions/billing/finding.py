"""A finding: something at a provider that no rule may decide, so staff must look at it.

A second live subscription of one account, a price that nobody has mapped, a cancellation undone in the provider's
dashboard. Never an error: what led to it is done, and goes on. The same finding again is the same row.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.registry import Registry
from accounts.core.write_guard import refused_while_erasing
from accounts.models import Account, User
from subscriptions.billing.holding import MAX_REFERENCE
from subscriptions.subscription import MAX_PROVIDER

#: Codes are ours, a few words long.
MAX_CODE = 60


@dataclass(frozen=True)
class FindingKind:
    """What a code says to staff: what was found, and what they are to do. Declared by who finds it."""

    code: str
    label: str | Promise
    to_do: str | Promise


#: Whatever can be found. Filled by `subscriptions.billing.billing_extension`.
KINDS: Registry[FindingKind] = Registry(key=lambda kind: kind.code)


def in_words(code: str) -> str | Promise:
    """What was found; the code itself where the app that found it is installed no more."""
    return KINDS.named(code).label if code in KINDS else code


class FindingQuerySet(models.QuerySet["Finding"]):
    def open(self) -> Self:
        """At which nobody has looked yet."""
        return self.filter(closed_at=None)


class Finding(models.Model):
    """What was found, about which account if any; open until staff say that they have seen to it."""

    provider = models.CharField(_("provider"), max_length=MAX_PROVIDER)
    #: What kind of finding: a code, such as `second-live-subscription`.
    code = models.CharField(_("what"), max_length=MAX_CODE)
    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="billing_findings",
        verbose_name=_("account"),
    )
    #: What it is about, by the provider's id.
    reference = models.CharField(_("its id there"), max_length=MAX_REFERENCE, blank=True)
    #: Ids, instants, amounts: no personal data.
    facts: "models.JSONField[Any, Any]" = models.JSONField(_("facts"), default=dict, blank=True)
    found_at = models.DateTimeField(_("found"))
    #: When it was last found again.
    seen_at = models.DateTimeField(_("seen again"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    # Staff by their ids: what they decided outlives them.
    closed_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("closed by"),
    )

    objects = FindingQuerySet.as_manager()

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "code", "reference"],
                condition=models.Q(closed_at=None),
                name="finding_is_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(closed_at=None) | models.Q(closed_at__gte=models.F("found_at")),
                name="finding_closed_after_it_was_found",
            ),
        ]
        indexes = [
            models.Index(fields=["found_at"], condition=models.Q(closed_at=None), name="finding_open"),
            models.Index(fields=["reference"], name="finding_by_reference"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.provider}: {self.code} {self.reference}".strip()

    @property
    def label(self) -> str | Promise:
        """What was found, in words."""
        return in_words(self.code)

    @property
    def to_do(self) -> str | Promise:
        """What staff are to do about it; empty where nobody says."""
        return KINDS.named(self.code).to_do if self.code in KINDS else ""


def find(
    code: str,
    *,
    provider: str,
    reference: str = "",
    account: Account | None = None,
    facts: dict[str, Any] | None = None,
    at: datetime,
) -> tuple[Finding, bool]:
    """Note a finding, once while it is open. Returns it, and whether it is new; found again, it has the newer facts.

    About an account that is being erased it says nothing of the account: nothing may be written to that any more.
    """
    if account is not None and not Account.objects.filter(pk=account.pk, purging_at=None).exists():
        account = None
    finding, new = Finding.objects.open().get_or_create(
        provider=provider,
        code=code,
        reference=reference,
        defaults={"account": account, "facts": facts or {}, "found_at": at, "seen_at": at},
    )
    if not new:
        finding.seen_at, finding.facts = at, facts or finding.facts
        finding.save(update_fields=["seen_at", "facts"])
    return finding, new


def find_once(
    code: str,
    *,
    provider: str,
    reference: str,
    account: Account | None = None,
    facts: dict[str, Any] | None = None,
    at: datetime,
) -> bool:
    """As `find`, of what stays so for good: a finding that staff have closed is not told again. Returns whether new."""
    if Finding.objects.filter(provider=provider, code=code, reference=reference).exists():
        return False
    return find(code, provider=provider, reference=reference, account=account, facts=facts, at=at)[1]


def close(finding: Finding, *, by: User | None, at: datetime) -> bool:
    """Staff have seen to it, or it is no longer so (`by` nobody). Returns whether anything changed."""
    return bool(Finding.objects.open().filter(pk=finding.pk).update(closed_at=at, closed_by=by))
