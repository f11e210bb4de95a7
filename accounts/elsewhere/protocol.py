"""What we ask a store elsewhere, and what its answers mean (docs/stores-elsewhere.md).

One body, whether it comes as the answer to a request, as the answer to a question after it, or as a report to our door:
`Report`. It is believed when it is complete: *done* only with an explicit `left: 0`. What can't be read, an unknown
word, or a status that says nothing of the data is never taken for an answer.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from standardwebhooks import Webhook

from accounts.core import foreign_input
from accounts.core.clock import rfc3339
from accounts.core.strict_json import BadJSON, parse
from accounts.elsewhere.remote_erasure import MAX_CODE, MAX_PROOF, MAX_TEXT, RemoteErasure, Said
from accounts.elsewhere.store import RemoteStore
from accounts.outgoing.client import OutgoingAnswer

TYPE = "erasure.requested"
#: Reports signed longer ago, or ahead, are none (Standard Webhooks: as the libraries have it).
TOLERANCE = timedelta(minutes=5)
#: `Retry-After` counts up to here.
LONGEST_RETRY_AFTER = timedelta(hours=24)
MOST_KINDS = 100
MOST_KEPT = 50
MAX_KIND = 60
#: JSON's numbers are whole up to here wherever they are read (RFC 8259, 6).
MOST = 2**53 - 1


def _plain(limit: int) -> Callable[[str], str]:
    """A text of the store's, as text: no markup, no control characters, cut where there is no more room."""

    def plain(text: str) -> str:
        return foreign_input.name_told(text.replace("<", " ").replace(">", " "), limit=limit)

    return plain


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or not foreign_input.is_within_years(found):
        raise ValueError("an instant needs its offset, and a year that can be meant")
    return found.astimezone(UTC)


def _date(text: str) -> str:
    """A date, or the date of an instant."""
    return date.fromisoformat(text[:10]).isoformat()


#: As long as an answer can be: they are cut, not refused.
AsLongAsAnAnswer = Field(max_length=64_000)
Proof = Annotated[str, AfterValidator(_plain(MAX_PROOF)), AsLongAsAnAnswer]
Text = Annotated[str, AfterValidator(_plain(MAX_TEXT)), AsLongAsAnAnswer]
Code = Annotated[str, AfterValidator(_plain(MAX_CODE)), AsLongAsAnAnswer]
Kind = Annotated[str, StringConstraints(min_length=1, max_length=MAX_KIND, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:/-]*$")]
Count = Annotated[int, Field(ge=0, le=MOST, strict=True)]
Instant = Annotated[str, StringConstraints(max_length=40), AfterValidator(_instant)]
Day = Annotated[str, StringConstraints(max_length=40), AfterValidator(_date)]


class KeptThere(BaseModel):
    """What the store has to keep."""

    model_config = ConfigDict(extra="ignore")

    what: Text
    reason: Text
    ground: Text = ""
    until: Day | None = None


class Report(BaseModel):
    """What a store says of one request."""

    model_config = ConfigDict(extra="ignore")

    status: Annotated[str, StringConstraints(max_length=40)]
    erased: Annotated[dict[Kind, Count], Field(max_length=MOST_KINDS)] = {}
    left: Count | None = None
    kept: Annotated[list[KeptThere], Field(max_length=MOST_KEPT)] = []
    proof: Proof = ""
    expected_by: Instant | None = None
    reason: Code = ""
    ground: Text = ""

    @property
    def said(self) -> Said | None:
        """The word, if it is one of ours."""
        return Said(self.status) if self.status and self.status in Said.values else None


class Meaning(Enum):
    """What an answer tells us."""

    REPORT = "report"  # what it says of the data is in the report
    RUNNING = "running"  # it has the request, and says no more
    MISCONFIGURED = "misconfigured"  # asked as it is configured it will never answer
    NOT_NOW = "not now"


@dataclass(frozen=True)
class Answer:
    meaning: Meaning
    #: In words for staff.
    why: str = ""
    report: Report | None = None
    #: When it wants to be asked again, at the earliest.
    retry_after: timedelta | None = None
    #: It is the store that can't answer, not this request: the others are spared as well.
    for_all: bool = False


def body_of(row: RemoteErasure) -> bytes:
    """What is sent about this row: the same in every attempt but for the number of it."""
    return _written(
        {
            "type": TYPE,
            "timestamp": rfc3339(row.obliged_at),
            "data": {
                "request": str(row.request),
                "account": str(row.account_id),
                "external_id": row.external_id or None,
                "cause": row.cause,
                "people": row.people,
                "deadline_at": rfc3339(row.deadline_at),
                "replay_of": str(row.replay_of) if row.replay_of else None,
                "attempt": row.asks + 1,
            },
        }
    )


def _written(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def read(answer: OutgoingAnswer, at: datetime) -> Answer:
    """What an answer to a request, or to a question after it, means."""
    status = answer.status
    if not answer.is_whole:
        return Answer(Meaning.NOT_NOW, "its answer is too long")
    if status == 409:
        return Answer(Meaning.RUNNING)
    if status in (200, 202, 422):
        return _read_report(status, answer.body)
    if status in (401, 403, 404, 405, 410):
        return Answer(Meaning.MISCONFIGURED, _MISCONFIGURED[status])
    if status == 429 or status >= 500:
        wait = _retry_after(answer.headers, at)
        return Answer(Meaning.NOT_NOW, f"it answered {status}", retry_after=wait, for_all=status in (429, 503))
    if 300 <= status < 400:
        return Answer(Meaning.MISCONFIGURED, f"it answered {status}: redirects are not followed")
    return Answer(Meaning.MISCONFIGURED, f"it answered {status}, which says nothing of the data")


#: A store that is gone for good is taken out of the configuration by people, with a reason; it is not believed.
_MISCONFIGURED = {
    401: "it answered 401: is the secret right?",
    403: "it answered 403: it does not let us ask",
    404: "it answered 404: is the address right? That does not mean that nothing is there",
    405: "it answered 405: is the address right?",
    410: "it answered 410. If it is gone for good, take it out of the settings, and state by hand what became of it",
}


def _read_report(status: int, body: bytes) -> Answer:
    try:
        found = parse(body)
        report = Report.model_validate(found)
    except BadJSON:
        return Answer(Meaning.NOT_NOW, f"it answered {status} without JSON")
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:1])
        return Answer(Meaning.NOT_NOW, f"it answered {status} with a body that can't be read ({where or 'no object'})")
    return understood(report, status=status)


#: Which words go with which status.
_WORDS = {
    200: {Said.DONE, Said.PARTLY},
    202: {Said.ACCEPTED, Said.IN_PROGRESS},
    422: {Said.REFUSED},
}


def understood(report: Report, *, status: int | None = None) -> Answer:
    """The same for a report, whichever way it came. `status`: that of the answer it stood in; None at our own door."""
    said = report.said
    if said is None or (status and said not in _WORDS[status]):
        return Answer(Meaning.NOT_NOW, "it answered with a word that means nothing here")
    if said == Said.DONE and report.left != 0:
        left = "without saying what is left" if report.left is None else f"with {report.left} left"
        return Answer(Meaning.NOT_NOW, f"it said done {left}: that is not done")
    if said == Said.PARTLY and not report.left:
        return Answer(Meaning.NOT_NOW, "it said partly without saying how much is left")
    return Answer(Meaning.REPORT, report=report)


def _retry_after(headers: Mapping[str, str], at: datetime) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3); None for what is neither."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 10:
        return min(timedelta(seconds=int(said)), LONGEST_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(said)
    except (ValueError, TypeError, IndexError):
        return None
    if until.tzinfo is None:
        return None
    return min(max(until - at, timedelta()), LONGEST_RETRY_AFTER)


def is_genuine(store: RemoteStore, *, request: str, timestamp: str, signature: str, body: bytes, now: datetime) -> bool:
    """Whether a report is the store's own: signed over these bytes, for this request, within five minutes.

    By the real clock. The library's own check knows neither a clock of ours nor all that can be sent to it.
    """
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - sent_at) > TOLERANCE:
        return False
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    given = [one.encode() for one in signature[:2000].split(" ") if one]
    expected = [Webhook(secret).sign(request, sent_at, text).encode() for secret in store.secrets]
    return any(hmac.compare_digest(one, right) for one in given for right in expected)


class Discovery(BaseModel):
    """What a store says it is."""

    model_config = ConfigDict(extra="ignore")

    version: Code = ""
    takes_days: Annotated[int, Field(ge=0, le=3650, strict=True)] | None = None
    holds: Annotated[list[Text], Field(max_length=MOST_KINDS)] = []
    exports: bool = False


def read_discovery(answer: OutgoingAnswer) -> Discovery | str:
    """What it says; or why that can't be read."""
    if answer.status != 200 or not answer.is_whole:
        return f"it answered {answer.status}" if answer.is_whole else "its answer is too long"
    try:
        return Discovery.model_validate(parse(answer.body))
    except (BadJSON, ValidationError):
        return "its answer can't be read"
