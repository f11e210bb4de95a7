"""Panels: what the support desk shows of an account beside its story. Each app registers those that it knows about."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise

from accounts.core.registry import Registry
from accounts.customers.account import Account


@dataclass(frozen=True)
class Subject:
    """An account in front of staff. `account` is None once it has been erased: what is left is told by its id."""

    account_id: uuid.UUID
    account: Account | None


@dataclass(frozen=True)
class Panel:
    """`about` gives what the template needs, or None where there is nothing to show."""

    title: str | Promise
    template: str
    about: "Callable[[Subject, datetime], dict[str, Any] | None]"
    #: Smaller ones come first.
    place: int
    #: Long content gets the page's whole width.
    is_wide: bool = False


@dataclass(frozen=True)
class Shown:
    """A panel with what it shows."""

    panel: Panel
    about: dict[str, Any]


REGISTRY: Registry[Panel] = Registry(key=lambda panel: panel.template)


def panels_of(subject: Subject, at: datetime) -> list[Shown]:
    """The panels that have something to show, in their order."""
    ordered = sorted(REGISTRY.all(), key=lambda panel: panel.place)
    return [Shown(panel, about) for panel in ordered if (about := panel.about(subject, at)) is not None]
