"""What was refused at a source's door: counted by reason and hour, so that no flood of forgeries fills the table.

The source's view notes it; `doctor` warns of the last day's; `accounts.inbox.retention` removes old rows. Nothing of
the message is kept but where it claimed to come from.
"""

import logging
from datetime import datetime, timedelta
from typing import LiteralString

from django.db import DatabaseError, connection, models
from django.utils.translation import gettext_lazy as _

from accounts.inbox.sources import LONGEST, InboxSource, refusal_choices, source_choices
from accounts.jobs import invariants

log = logging.getLogger(__name__)

#: Staff are told for so long.
SHOWN = timedelta(days=1)
#: Rows are removed after so long.
KEPT = timedelta(days=90)
#: As long as the name of a sender may be, an ARN of AWS's say, with room to see that it is none.
MAX_CLAIMED = 300

COUNT: LiteralString = """
INSERT INTO marketplace_refusal (source, reason, hour, topic, count, first_at, last_at)
VALUES (%s, %s, %s, %s, 1, %s, %s)
ON CONFLICT (source, reason, hour) DO UPDATE
   SET count = marketplace_refusal.count + 1,
       topic = excluded.topic,
       last_at = greatest(marketplace_refusal.last_at, excluded.last_at)
"""


class RefusedMessage(models.Model):
    """How often messages were refused for one reason, in one hour (UTC)."""

    source = models.CharField(_("source"), max_length=LONGEST, choices=source_choices)
    reason = models.CharField(_("reason"), max_length=20, choices=refusal_choices)
    hour = models.DateTimeField(_("hour"))
    #: Where the newest of them said it came from. Nothing about it is checked.
    claimed = models.CharField(_("claimed sender"), db_column="topic", max_length=MAX_CLAIMED, blank=True)
    count = models.PositiveBigIntegerField(_("how often"), default=1)
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("last"))

    class Meta:
        db_table = "marketplace_refusal"
        verbose_name = _("refused message")
        verbose_name_plural = _("refused messages")
        constraints = [models.UniqueConstraint(fields=["source", "reason", "hour"], name="refusal_one_an_hour")]
        indexes = [models.Index(fields=["last_at"], name="refusal_last_at")]

    def __str__(self) -> str:
        return f"{self.source} {self.reason} {self.hour:%Y-%m-%d %H}h"


def note(source: InboxSource, reason: models.TextChoices, *, claimed: str = "", at: datetime) -> None:
    """Count a refusal, by one statement. Without a database it is only logged: the answer is the same."""
    log.warning("%s: refused (%s)", source.name, reason.value)
    hour = at.replace(minute=0, second=0, microsecond=0)
    claimed = claimed[:MAX_CLAIMED].replace("\x00", "").encode(errors="replace").decode()
    try:
        with connection.cursor() as cursor:
            cursor.execute(COUNT, [source.name, reason, hour, claimed, at, at])
    except DatabaseError:
        log.exception("a refusal could not be counted")


def forget_old(at: datetime) -> int:
    """Remove the rows that nobody will ask about any more. Returns how many."""
    removed, _by_model = old(at).delete()
    return removed


def old(at: datetime) -> "models.QuerySet[RefusedMessage]":
    """Rows that have been kept for long enough."""
    return RefusedMessage.objects.filter(last_at__lt=at - KEPT)


INVARIANTS = (
    invariants.Invariant(
        "refused-messages",
        _("kinds of messages refused at our doors within a day: forged, or set up wrongly"),
        lambda at: RefusedMessage.objects.filter(last_at__gt=at - SHOWN, last_at__lte=at),
        example="reason",
        warning=True,
    ),
)
