"""What all workers share about one store: when it may be called next, and what it says of itself.

A store that is sent ten thousand requests at once is attacked, not asked. So each call waits for a slot of time, which
one row a store hands out, in PostgreSQL, by its clock. A slot that was not used in its time is given up, not used
later: it would make a burst together with the next. Whoever has answered with 429, or not at all, is left alone by all
of them for a while.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django.db import connection, models, transaction
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext_lazy as _

from accounts.elsewhere.store import MAX_NAME, RemoteStore

#: The share of the rate that is used: what is late on its way must not meet what is punctual.
SHARE = 0.9
#: Seconds for which a slot may be used late. Together with `SHARE` no second has more calls than are allowed.
SLACK = 0.05


class StoreGate(models.Model):
    """When a store may be called next, and what it answered when it was last asked what it is."""

    name = models.CharField(_("store elsewhere"), max_length=MAX_NAME, primary_key=True)
    #: The first slot that nobody has taken yet; by the database's clock.
    free_at = models.DateTimeField(_("free from"))
    #: Nothing is sent before it; by the clock of whoever sends.
    paused_until = models.DateTimeField(_("left alone until"), null=True, blank=True)
    #: What `/discovery` says: for the certificate, and for staff.
    discover_at = models.DateTimeField(_("asked what it is from"), null=True, blank=True)
    discovered_at = models.DateTimeField(_("said what it is"), null=True, blank=True)
    discovery_error = models.CharField(_("did not say what it is"), max_length=200, blank=True)
    version = models.CharField(_("version"), max_length=60, blank=True)
    takes_days = models.PositiveIntegerField(_("takes days"), null=True, blank=True)
    holds: "models.JSONField[Any, Any]" = models.JSONField(_("holds"), default=list, blank=True)
    can_export = models.BooleanField(_("can export"), default=False)

    objects: ClassVar[models.Manager["StoreGate"]] = models.Manager()

    class Meta:
        verbose_name = _("gate of a store elsewhere")
        verbose_name_plural = _("gates of stores elsewhere")

    def __str__(self) -> str:
        return self.name


def wait_for_slot(
    store: RemoteStore,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until this call may be made."""
    step = 1 / (store.calls_a_second * SHARE)
    while True:
        began = now()
        slot = began + _take(store.name, step)
        if (left := slot - now()) > 0:
            # Whoever waits needs no connection to the database meanwhile.
            if not connection.in_atomic_block:
                connection.close()
            sleep(left)
        # One that is slower than a slot lasts would otherwise never be in time.
        if now() - slot <= max(SLACK, step / 2):
            return


def _take(name: str, step: float) -> float:
    """Take the next slot. Returns how many seconds ahead it lies."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_storegate AS gate (name, free_at, discovery_error, version, holds, can_export)
            VALUES (%(name)s, clock_timestamp() + make_interval(secs => %(step)s), '', '', '[]', FALSE)
            ON CONFLICT (name) DO UPDATE
            SET free_at = GREATEST(gate.free_at, clock_timestamp()) + make_interval(secs => %(step)s)
            RETURNING extract(epoch FROM free_at - clock_timestamp())::float8
            """,
            {"name": name, "step": step},
        )
        (left,) = cursor.fetchone()
    return float(left) - step


def pause(name: str, until: datetime) -> None:
    """Have every worker leave the store alone; a longer wait that is known already stands."""
    with transaction.atomic():
        StoreGate.objects.filter(pk=name).update(
            paused_until=Greatest(Coalesce("paused_until", models.Value(until)), models.Value(until))
        )


def is_paused(name: str, at: datetime) -> bool:
    return StoreGate.objects.filter(pk=name, paused_until__gt=at).exists()


def gates() -> dict[str, StoreGate]:
    return {gate.name: gate for gate in StoreGate.objects.all()}
