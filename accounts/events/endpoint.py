"""Who wants to hear what happens here: an address, the types that it hears, the secrets that its messages are signed
with, and how it has been answering.

An endpoint that is off loses nothing: its messages are kept for thirty days, and go out when it is switched on again.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.encryption import decrypt
from accounts.core.search_fields import no_controls
from accounts.customers.user import User
from accounts.events.message import VERSION

MAX_NAME = 80
MAX_ADDRESS = 500
#: After a rotation both secrets sign for so long.
BOTH_SIGN_FOR = timedelta(hours=24)
#: Failing for so long without one success: people are told; then it is switched off, and they are told again.
WARNED_AFTER = timedelta(hours=24)
OFF_AFTER = timedelta(days=5)


class OffReason(models.TextChoices):
    """Why an endpoint is off. The last two are nobody's decision: `doctor` names it until somebody makes one."""

    STAFF = "staff", _("switched off by hand")
    GONE = "gone", _("it answered 410: it is gone")
    FAILING = "failing", _("it has failed for five days")


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def standing(self) -> Self:
        """Those that nobody has removed, on or off."""
        return self.filter(removed_at=None)

    def on(self) -> Self:
        return self.standing().filter(off_at=None)

    def failing(self, at: datetime) -> Self:
        """On, and without one success for so long that somebody should look."""
        return self.on().filter(failing_since__lte=at - WARNED_AFTER)

    def given_up(self) -> Self:
        """Off, and no person has decided that."""
        return self.standing().filter(off_at__isnull=False).exclude(off_because=OffReason.STAFF)


class Endpoint(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=MAX_NAME)
    address = models.CharField(_("address"), max_length=MAX_ADDRESS)
    #: Which types it hears; none stands for all, those of times to come too.
    types: "ArrayField[Any, Any]" = ArrayField(
        models.CharField(max_length=60), verbose_name=_("types"), default=list, blank=True
    )
    #: Of the payloads: that which was the newest when it was made.
    version = models.CharField(_("version"), max_length=10, default=VERSION)
    #: Encrypted: they have to be read again, so a hash would not do.
    secret = models.BinaryField(_("secret"))
    previous_secret = models.BinaryField(_("previous secret"), null=True, blank=True)
    previous_until = models.DateTimeField(_("the previous secret signs until"), null=True, blank=True)
    made_at = models.DateTimeField(_("made"))
    # Staff by their ids: an endpoint outlives whoever made it. None: made by a call of the API.
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
    off_at = models.DateTimeField(_("off since"), null=True, blank=True)
    off_because = models.CharField(_("why it is off"), max_length=10, choices=OffReason.choices, blank=True)
    removed_at = models.DateTimeField(_("removed"), null=True, blank=True)
    #: Since the first failure that no success has followed.
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    #: When staff were told of that.
    warned_at = models.DateTimeField(_("staff warned"), null=True, blank=True)
    #: It has asked for a pause (`Retry-After`).
    paused_until = models.DateTimeField(_("asked for a pause until"), null=True, blank=True)
    #: Written at most once a minute: a row that every success writes to would hold them all up.
    delivered_at = models.DateTimeField(_("last success"), null=True, blank=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        constraints = [
            # One that is there twice would hear everything twice, signed by secrets that it cannot tell apart.
            models.UniqueConstraint(
                fields=["address"], condition=models.Q(removed_at=None), name="endpoint_one_of_an_address"
            ),
            models.CheckConstraint(
                condition=models.Q(off_at=None, off_because="")
                | (models.Q(off_at__isnull=False) & ~models.Q(off_because="")),
                name="endpoint_off_for_a_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(previous_secret=None, previous_until=None)
                | models.Q(previous_secret__isnull=False, previous_until__isnull=False),
                name="endpoint_previous_secret_ends",
            ),
            no_controls("name", name="endpoint_name_is_one_line"),
        ]

    def __str__(self) -> str:
        return self.name

    def is_both_signing(self, at: datetime) -> bool:
        """Whether the secret before the newest one still signs."""
        return self.previous_until is not None and at < self.previous_until

    def keys(self, at: datetime) -> Sequence[str]:
        """The secrets that sign at `at`, the newest first. Raises `Undecipherable`."""
        encrypted = [self.secret, self.previous_secret] if self.is_both_signing(at) else [self.secret]
        return [decrypt(one) for one in encrypted if one]
