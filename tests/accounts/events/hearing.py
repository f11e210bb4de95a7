"""Messages and endpoints for tests of what becomes of them, whatever they are about."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from accounts.customers.history import Actor
from accounts.events import managing
from accounts.events.endpoint import Endpoint
from accounts.events.message import EventMessage
from accounts.events.publishing import publish_due
from accounts.events.telling import halves
from tests.factories import NOW

SYSTEM = Actor.system()


def tell(account_id: uuid.UUID, *, at: datetime = NOW, name: str = "account.erasing", published: bool = True) -> None:
    """A message about this account, and whatever else waits to be published."""
    head, tail = halves(name, account_id=account_id, event=1, at=at, cause="system", payload={})
    EventMessage.objects.create(account_id=account_id, type=name, happened_at=at, body=f"{head}null{tail}")
    if published:
        publish_due(at)


def hears(url: str, types: Sequence[str] = (), *, at: datetime = NOW, **options: Any) -> tuple[Endpoint, str]:
    """An endpoint there, and its secret."""
    return managing.make(options.pop("name", "Product"), url, types, by=SYSTEM, at=at, **options)
