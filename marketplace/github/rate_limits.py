"""Rate limits, obeyed by every worker: a row says until when nothing may be asked with a credential."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models.functions import Greatest
from django.utils.translation import gettext_lazy as _


class RateLimitPause(models.Model):
    """Nothing may be asked with this credential before `until`. The key is a digest, never the credential itself."""

    key = models.CharField(_("credential"), max_length=80, primary_key=True)
    until = models.DateTimeField(_("until"))

    objects: ClassVar[models.Manager["RateLimitPause"]] = models.Manager()

    class Meta:
        db_table = "marketplace_pause"
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")

    def __str__(self) -> str:
        return f"{self.key} {self.until:%H:%M:%S}"


def paused_until(key: str, at: datetime) -> datetime | None:
    """Until when to wait, if at all."""
    return RateLimitPause.objects.filter(key=key, until__gt=at).values_list("until", flat=True).first()


def pause(key: str, until: datetime) -> None:
    """Have every worker wait; a longer wait that is known already stands."""
    _row, created = RateLimitPause.objects.get_or_create(key=key, defaults={"until": until})
    if not created:
        RateLimitPause.objects.filter(key=key).update(until=Greatest("until", models.Value(until)))
