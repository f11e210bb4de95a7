"""Senders that no app of ours knows: what the inbox promises, it promises to whoever is declared."""

from datetime import datetime

from django.db import models

from accounts.inbox import inbox
from accounts.inbox.delivery import Delivery, DeliveryOutcome, Unprocessable
from accounts.inbox.sources import InboxSource


class PigeonRefusal(models.TextChoices):
    RING = "ring", "the ring of another loft"


class PigeonMode(models.TextChoices):
    LIVE = "", "live"
    EXERCISE = "exercise", "an exercise"


def read(delivery: Delivery, at: datetime) -> DeliveryOutcome:
    """Applied, unless the note is wet."""
    assert delivery.body is not None
    if b"wet" in bytes(delivery.body):
        raise Unprocessable("The ink has run.")
    delivery.action, delivery.external_account = delivery.event, "loft-7"
    return DeliveryOutcome.TEST if delivery.mode == PigeonMode.EXERCISE else DeliveryOutcome.APPLIED


PIGEON = InboxSource("pigeon", "Pigeons", read, modes=PigeonMode, refusals=PigeonRefusal)
PAPER = InboxSource("paper", "Letters", read, body_days=365)


def hear(source: InboxSource, delivery_id: str, *, at: datetime, body: bytes = b"{}", mode: str = "") -> bool:
    return inbox.accept(
        source, delivery_id=delivery_id, event="note", content_type="text/plain", body=body, at=at, mode=mode
    )
