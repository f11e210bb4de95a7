"""The gate through which every call to Stripe goes: never more calls a second than the key allows, in all processes.

Stripe answers what comes too fast with 429, and a burst of ours would take away the calls of a page that an owner waits
for. So every call waits for a slot of time. Slots are handed out by one row a key, in PostgreSQL, by its clock, and in
small batches: a busy process asks the row once for ten calls. A slot that was not used in its time is not used later,
or it would make a burst. The same row says until when nothing may be asked at all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import connection, models, transaction
from django.db.models.functions import Greatest
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import storable
from accounts.jobs import invariants

#: The share of the allowed rate that is used: what is late on its way must not meet what is punctual.
SHARE = 0.9
#: So many slots are reserved at once by a process that uses them all: at 100 calls a second, 0.1 s of them.
LARGEST_BATCH = 10
#: Seconds for which a slot may be used late. Together with `SHARE` no second has more calls than are allowed.
SLACK = 0.05
#: For so long after it was last refused a key is shown to staff.
SHOWN = timedelta(hours=1)


class StripeGate(models.Model):
    """When the next call with a key may be made. The key's digest, never the key itself."""

    key = models.CharField(_("credential"), max_length=80, primary_key=True)
    #: The first slot that nobody has reserved yet; by the database's clock.
    free_at = models.DateTimeField(_("free from"))
    #: Nothing may be asked before it.
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    #: When Stripe last said that the key may not do what was asked, and what right it lacks, if Stripe named one.
    denied_at = models.DateTimeField(_("refused"), null=True, blank=True)
    denied_because = models.CharField(_("because"), max_length=200, blank=True)

    objects: ClassVar[models.Manager["StripeGate"]] = models.Manager()

    class Meta:
        verbose_name = _("Stripe’s gate")
        verbose_name_plural = _("Stripe’s gates")

    def __str__(self) -> str:
        return self.key


class Gate:
    """One key's gate, for all threads of this process."""

    def __init__(
        self,
        key: str,
        *,
        calls_a_second: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.key = key
        self.step = 1 / (calls_a_second * SHARE)
        self._now, self._sleep = now, sleep
        self._slots: deque[float] = deque()
        self._batch = 0
        self._paused_until: datetime | None = None
        self._lock = threading.Lock()

    def wait(self, at: datetime) -> datetime | None:
        """Wait for this call's slot; then None. Or, without waiting, until when nothing may be asked.

        Raises `RuntimeError` inside a transaction: nobody may hold locks while Stripe thinks.
        """
        with self._lock:
            slot = self._take()
            if self._paused_until and self._paused_until > at:
                # The next call asks the row again: a pause may be longer by then.
                self._slots.clear()
                return self._paused_until
        if (left := slot - self._now()) > 0:
            self._sleep(left)
        return None

    def _take(self) -> float:
        """The next slot of ours, on this process's clock. The row is asked when there is none left."""
        unused = False
        while self._slots:
            slot = self._slots.popleft()
            if slot >= self._now() - SLACK:
                return slot
            unused = True
        # As many as the last ones showed to be needed: an idle process keeps no time from the others.
        self._batch = 1 if unused else min(max(self._batch * 2, 1), LARGEST_BATCH)
        self._slots.extend(self._reserve(self._batch))
        return self._slots.popleft()

    def _reserve(self, count: int) -> list[float]:
        # A transaction of its own, and refused inside another one: that would hold the gate shut for everybody.
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO subscriptions_stripegate AS gate (key, free_at, denied_because)
                VALUES (%(key)s, clock_timestamp() + make_interval(secs => %(seconds)s), '')
                ON CONFLICT (key) DO UPDATE
                SET free_at = GREATEST(gate.free_at, clock_timestamp()) + make_interval(secs => %(seconds)s)
                RETURNING extract(epoch FROM free_at - clock_timestamp())::float8, paused_until
                """,
                {"key": self.key, "seconds": count * self.step},
            )
            (left, self._paused_until) = cursor.fetchone()
        first = self._now() + left - count * self.step
        return [first + number * self.step for number in range(count)]

    def pause(self, until: datetime) -> None:
        """Have every process wait; a longer wait that is known already stands."""
        with self._lock:
            self._slots.clear()
        # The row is there: a call was made.
        StripeGate.objects.filter(pk=self.key).update(
            paused_until=Greatest(models.functions.Coalesce("paused_until", models.Value(until)), models.Value(until))
        )

    def deny(self, why: str, at: datetime) -> None:
        """Note that the key may not do what was asked, for `doctor`."""
        StripeGate.objects.filter(pk=self.key).update(denied_at=at, denied_because=storable(why)[:200])


INVARIANTS = (
    invariants.Invariant(
        "stripe-key",
        _("Stripe refused what its key was used for: it is wrong, was revoked, or lacks a right"),
        lambda at: StripeGate.objects.filter(denied_at__gt=at - SHOWN),
        example="denied_because",
    ),
)
