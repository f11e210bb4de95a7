"""The story of an account: everything that happened to it, in one list, newest first.

Lines come from several tables: history, mails, what staff did and why; apps above add theirs, such as deliveries.
Each source gives its newest lines before an instant, so a page of the story costs the same however long it is.
"""

import heapq
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.formats import brief
from accounts.core.registry import Registry, function_name
from accounts.customers.history import DESK, ActorKind, Event
from accounts.customers.user import User
from accounts.desk.actions.action import act_named
from accounts.desk.actions.log import StaffAction
from accounts.mail.notices import Notice

#: Lines on a page.
PAGE = 40


@dataclass(frozen=True)
class TimelineLine:
    """`who` did `what` at `at`. `kind` is for the eye: event, deed, mail, delivery. `facts` are small print."""

    at: datetime
    kind: str
    what: str | Promise
    who: str | Promise = ""
    facts: str = ""
    link: str = ""


#: The newest lines of an account up to and with an instant, newest first, at most so many.
Source = Callable[[uuid.UUID, datetime, int], list[TimelineLine]]
SOURCES: Registry[Source] = Registry(key=function_name)


@dataclass(frozen=True)
class TimelinePage:
    """`older` is where the next page begins, None on the last one."""

    lines: list[TimelineLine]
    older: datetime | None


def story_of(account_id: uuid.UUID, *, before: datetime) -> TimelinePage:
    """A page of the story: the newest lines up to and with `before`. Lines of one instant are never torn apart."""
    limit = PAGE
    while True:
        found = [source(account_id, before, limit + 1) for source in SOURCES.all()]
        merged = list(islice(heapq.merge(*found, key=lambda line: line.at, reverse=True), limit + 1))
        if len(merged) <= limit:
            return TimelinePage(merged, None)
        # The page ends before the instant of the first line that does not fit.
        older = merged[limit].at
        if lines := [line for line in merged if line.at > older]:
            return TimelinePage(lines, older)
        limit *= 2


def names_of(user_ids: "set[int | None]") -> dict[int | None, str]:
    """What to call these people; those who are gone are left out."""
    return {user.pk: str(user) for user in User.objects.filter(pk__in=[pk for pk in user_ids if pk])}


def events(account_id: uuid.UUID, before: datetime, limit: int) -> list[TimelineLine]:
    """The history, but for the lines of staff actions: those tell more."""
    acts = {f"{DESK}{name}" for name in StaffAction.objects.of(account_id).values_list("act", flat=True).distinct()}
    found = list(Event.objects.filter(account_id=account_id, at__lte=before).exclude(kind__in=acts).story()[:limit])
    names = names_of({event.actor_id for event in found if event.actor_kind != ActorKind.API})
    return [
        TimelineLine(
            event.at,
            "event",
            event.label,
            who=_who(event, names),
            facts=_told(event.facts),
        )
        for event in found
    ]


def _who(event: Event, names: Mapping[int | None, str]) -> str:
    """The person, as far as they are known still; a token of the API by its number, which is no person's."""
    kind = event.get_actor_kind_display()
    if event.actor_kind == ActorKind.API:
        return f"{kind} ({event.actor_id})"
    return names.get(event.actor_id, "") or kind


def _told(facts: Mapping[str, Any]) -> str:
    """Facts in a line, with instants in the reader's zone."""
    told = []
    for name, value in facts.items():
        if value in ("", None, []):
            continue
        if name.endswith("_at"):
            value = brief(datetime.fromisoformat(value))
        elif isinstance(value, bool):
            value = gettext("yes") if value else gettext("no")
        told.append(f"{name.removesuffix('_at').replace('_', ' ')}: {value}")
    return ", ".join(told)


def deeds(account_id: uuid.UUID, before: datetime, limit: int) -> list[TimelineLine]:
    """What staff did, with their reasons."""
    found = list(StaffAction.objects.of(account_id).filter(at__lte=before).order_by("-at", "-id")[:limit])
    names = names_of({deed.by_id for deed in found})
    lines = []
    for deed in found:
        try:
            what: str | Promise = act_named(deed.act).label
        except KeyError:
            what = deed.act
        lines.append(TimelineLine(deed.at, "deed", what, who=names.get(deed.by_id, ""), facts=deed.reason))
    return lines


def mails(account_id: uuid.UUID, before: datetime, limit: int) -> list[TimelineLine]:
    """Mails, by when they were queued."""
    found = Notice.objects.filter(account_id=account_id, queued_at__lte=before).select_related("recipient")
    lines = []
    for notice in found.order_by("-queued_at", "-pk")[:limit]:
        if notice.sent_at:
            facts = gettext("sent")
        elif notice.last_error:
            facts = gettext("not sent yet: %(error)s") % {"error": notice.last_error}
        else:
            facts = gettext("queued")
        link = reverse("admin:accounts_notice_change", args=[notice.pk])
        what = _("Mail “%(kind)s”") % {"kind": notice.kind.split("/")[1].replace("_", " ")}
        lines.append(
            TimelineLine(
                notice.queued_at, "mail", what, who=str(notice.recipient or notice.address), facts=facts, link=link
            )
        )
    return lines


TIMELINE_SOURCES = (
    events,
    deeds,
    mails,
)
