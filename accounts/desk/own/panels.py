"""What this app shows of an account at the support desk: its people, its requests, and how its erasing stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.desk.account_page.panels import Panel, Subject
from accounts.erasure import inventory
from accounts.erasure.certificates import Certificate
from accounts.erasure.holds import Hold
from accounts.erasure.purge import Purge
from accounts.support.ownership_proposal import standing_offer

#: Members and requests on the page; the lists in the admin have the rest.
MOST = 20


def members(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Owner first, then the administrators; who is invited; to whom the account is offered."""
    if subject.account is None:
        return None
    places = subject.account.memberships.select_related("user")
    rank = {"owner": 0, "admin": 1}
    found = sorted(places.order_by("joined_at", "pk")[: MOST + 1], key=lambda place: rank.get(place.role, 2))
    invitations = subject.account.invitations.unanswered().order_by("-invited_at", "-pk")[:MOST]
    return {
        "members": found[:MOST],
        "more": max(places.count() - MOST, 0),
        "invitations": [(row, row.is_open(at)) for row in invitations],
        "offer": standing_offer(subject.account, at),
    }


def requests(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """The newest requests."""
    if subject.account is None:
        return None
    found = subject.account.requests.order_by("-made_at", "-pk").select_related("assigned_to")[:MOST]
    return {"requests": found, "at": at}


@dataclass(frozen=True)
class ErasingProgress:
    """How far an erasing has come, by store: all that has been erased so far, and whether that is all."""

    stores: Sequence[tuple[str, int, bool]]

    @property
    def done(self) -> int:
        return sum(done for _store, _erased, done in self.stores)

    @property
    def erased(self) -> int:
        return sum(erased for _store, erased, _done in self.stores)


def progress_of(purge: Purge) -> ErasingProgress:
    """The stores in the order in which they are emptied."""
    erased = purge.erased()
    names = [
        *(eraser.name for eraser in inventory.erasers()),
        *(store.name for store in inventory.stores()),
        "files",
    ]
    return ErasingProgress([(name, erased.get(name, 0), purge.is_done(name)) for name in names])


def erasing(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Purges with their deadlines and progress, holds, certificates."""
    purges = list(Purge.objects.of(subject.account_id).select_related("last_mail").order_by("-received_at", "-pk"))
    held = list(Hold.objects.of(subject.account_id).order_by("-set_at").select_related("set_by", "confirmed_by"))
    if not purges and not held:
        return None
    waiting = set(Hold.objects.of(subject.account_id).unconfirmed(at).values_list("pk", flat=True))
    return {
        "purges": [(purge, progress_of(purge) if purge.started_at else None) for purge in purges],
        "holds": [(hold, hold.pk in waiting) for hold in held],
        "certificates": Certificate.objects.filter(account_id=subject.account_id),
        "at": at,
    }


PANELS = (
    Panel(_("People"), "accounts/desk/members.html", members, place=30),
    Panel(_("Requests"), "accounts/desk/requests.html", requests, place=20),
    Panel(_("Erasing"), "accounts/desk/erasing.html", erasing, place=60, is_wide=True),
)
