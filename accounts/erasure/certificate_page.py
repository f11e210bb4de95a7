"""What a certificate says to people, in the reader's language: for the page of `accounts.views.certificate`.

Read from the machine's record and from nothing else, so that a page can be made of every certificate ever issued. What
the record says in words, it says in English; where the inventory has the same words still, they are shown in the
reader's language. Where it has others today, the record's own are shown: the page never says what was not certified.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import capfirst

from accounts.erasure import inventory
from accounts.erasure.certificate_words import group_of, without_part, words_of
from accounts.erasure.certificates import Certificate
from accounts.erasure.inventory import Erased
from accounts.erasure.obligation import PurgeCause


@dataclass(frozen=True)
class Line:
    """How much of one thing was erased, or emptied of what is personal and left."""

    words: str
    count: int
    is_emptied: bool = False


@dataclass
class Section:
    title: str
    lines: list[Line] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(line.count for line in self.lines)


@dataclass(frozen=True)
class KeptLine:
    """What stays here, why, by which right, and until when; `scrubbed` says what was taken out of it."""

    words: str
    reason: str
    ground: str
    scrubbed: str
    until: datetime | None
    records: int | None


@dataclass
class Ground:
    """What is kept by one right."""

    title: str
    lines: list[KeptLine] = field(default_factory=list)

    @property
    def has_no_end(self) -> bool:
        return any(line.until is None for line in self.lines)


@dataclass(frozen=True)
class RemainsLine:
    """What somebody else keeps, why, until when."""

    where: str
    what: str
    why: str
    until: date | None


@dataclass(frozen=True)
class StoreLine:
    """What one store elsewhere has done. `counts` are its own words; None where no machine has counted (`by_hand`)."""

    store: str
    version: str
    by_hand: bool
    case_number: str
    asked_at: datetime | None
    done_at: datetime | None
    promised_by: datetime | None
    is_in_time: bool
    counts: list[tuple[str, int]] | None
    kept: list[dict[str, Any]]
    proof: str


@dataclass(frozen=True)
class PaidBackLine:
    at: datetime | None
    cents: int
    currency: str


@dataclass(frozen=True)
class HoldLine:
    set_at: datetime | None
    until: datetime | None
    released_at: datetime | None


class CertificatePage:
    """One certificate, as its template asks for it."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.body: dict[str, Any] = certificate.body

    @property
    def cause(self) -> str:
        cause = str(self.body["cause"])
        return capfirst(str(PurgeCause(cause).label)) if cause in PurgeCause.values else cause

    @property
    def dates(self) -> dict[str, datetime | None]:
        names = ("received_at", "deadline_at", "started_at", "finished_at", "verified_at", "replay_of")
        return {name: _instant(self.body.get(name)) for name in names}

    @property
    def sections(self) -> list[Section]:
        """What was erased here, in groups. What was looked at and held nothing stands under `nothing`."""
        found: dict[str, tuple[int, Section]] = {}
        for (name, is_emptied), count in self._counts().items():
            if count:
                group = group_of(name)
                _place, section = found.setdefault(group.name, (group.place, Section(str(group.title))))
                section.lines.append(Line(words_of(name), count, is_emptied))
        sections = [section for _place, section in sorted(found.values(), key=lambda entry: entry[0])]
        for section in sections:
            section.lines.sort(key=lambda line: (line.is_emptied, -line.count))
        return sections

    @property
    def total(self) -> int:
        return sum(count for (_name, is_emptied), count in self._counts().items() if not is_emptied)

    @property
    def nothing(self) -> list[str]:
        """What was looked at, and held nothing of the account."""
        counts = self._counts()
        some = {name for (name, _is_emptied), count in counts.items() if count}
        return sorted({words_of(name) for name, _is_emptied in counts if name not in some})

    @property
    def kept(self) -> list[Ground]:
        """What stays here and is about this account, by the right by which it does."""
        found: dict[str, Ground] = {}
        for entry in self.body["kept"]:
            if entry["ground"] and entry.get("records") != 0:
                line = self._kept_line(entry)
                found.setdefault(line.ground, Ground(line.ground)).lines.append(line)
        return list(found.values())

    @property
    def not_about_it(self) -> list[KeptLine]:
        """What stays and is not about this account, or of which there is none."""
        named = [entry for entry in self.body["kept"] if not entry["ground"] or entry.get("records") == 0]
        return [self._kept_line(entry) for entry in named]

    @property
    def is_in_time(self) -> bool:
        """Whether the deadline was met here, whatever others did."""
        return bool(self.body.get("deadline_met_here", self.body["deadline_met"]))

    @property
    def stores(self) -> list[StoreLine]:
        """What others have erased on our word."""
        return [_store_line(entry) for entry in self.certificate.elsewhere]

    @property
    def remains(self) -> list[RemainsLine]:
        """What others keep because they must, such as a payment provider its invoices."""
        return [
            RemainsLine(str(entry["where"]), str(entry["what"]), str(entry["why"]), _day(entry.get("until")))
            for entry in self.certificate.remains
        ]

    @property
    def paid_back(self) -> list[PaidBackLine]:
        return [
            PaidBackLine(_instant(entry["at"]), entry["cents"], entry["currency"])
            for entry in self.body.get("paid_back", [])
        ]

    @property
    def holds(self) -> list[HoldLine]:
        return [
            HoldLine(_instant(hold["set_at"]), _instant(hold["until"]), _instant(hold["released_at"]))
            for hold in self.body.get("holds", [])
        ]

    def _counts(self) -> dict[tuple[str, bool], int]:
        """By store without its parts, and whether its rows were emptied rather than deleted."""
        emptied = {store.name for store in inventory.stores() if not isinstance(store, Erased)}
        counts: dict[tuple[str, bool], int] = {}
        for name, count in self.body["erased"].items():
            key = (without_part(name), name in emptied)
            counts[key] = counts.get(key, 0) + count
        return counts

    def _kept_line(self, entry: dict[str, Any]) -> KeptLine:
        today = next((kept for kept in inventory.kept() if kept.name == entry["what"]), None)
        return KeptLine(
            words_of(entry["what"]),
            _as_certified(entry["reason"], today.reason if today else None).rstrip("."),
            capfirst(_as_certified(entry["ground"], today.ground if today else None)),
            _as_certified(entry["scrubbed"], today.scrubbed if today else None),
            _instant(entry.get("until")),
            entry.get("records"),
        )


def _store_line(entry: dict[str, Any]) -> StoreLine:
    erased = entry.get("erased")
    return StoreLine(
        store=str(entry["store"]),
        version=str(entry.get("version") or ""),
        by_hand="stated_by_staff" in entry,
        case_number=str(entry.get("stated_by_staff", {}).get("case_number", "")),
        asked_at=_instant(entry.get("asked_at")),
        done_at=_instant(entry.get("done_at")),
        promised_by=_instant(entry.get("promised_by")),
        is_in_time=bool(entry.get("deadline_met")),
        counts=None if erased is None else sorted(((str(what), count) for what, count in erased.items() if count)),
        kept=[_kept_there(kept) for kept in entry.get("kept") or []],
        proof=str(entry.get("proof") or ""),
    )


def _kept_there(kept: dict[str, Any]) -> dict[str, Any]:
    """What a store says that it keeps; its `until` is whatever it says, and a date only if it is one."""
    said = str(kept.get("until") or "")
    try:
        day = _day(said) if said else None
    except ValueError:
        day = None
    return {**{name: str(kept.get(name) or "") for name in ("what", "reason", "ground")}, "day": day, "until": said}


def _as_certified(said: str, today: "str | Promise | None") -> str:
    """These words in the reader's language, if that is what they still are; else as they were certified."""
    with translation.override("en"):
        is_same = today is not None and str(today) == said
    return str(today) if is_same else said


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None
