"""One attempt to tell an endpoint one thing. No database here: attempts are made side by side, by threads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from accounts.core import clock
from accounts.core.encryption import Undecipherable
from accounts.core.errors import describe, storable
from accounts.events.dispatch import LONGEST_PAUSE, MAX_ANSWER
from accounts.events.endpoint import Endpoint
from accounts.outgoing.client import OutgoingError, call
from accounts.outgoing.signing import signed

#: By what receivers may know us in their logs.
USER_AGENT = "Offboard-Events/1"


@dataclass(frozen=True)
class Attempt:
    """How it went. `status` is None where no answer came; `why` is empty for a success, and for staff otherwise."""

    status: int | None = None
    seconds: float | None = None
    answer: str = ""
    why: str = ""
    #: For how long the receiver wants to be left alone.
    pause: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return not self.why

    @property
    def is_gone(self) -> bool:
        """It answered that there is nobody any more, and never will be."""
        return self.status == HTTPStatus.GONE


def attempt(endpoint: Endpoint, webhook_id: str, body: bytes) -> Attempt:
    """Sign the body and send it. Never raises: whatever is wrong is said, for the row of this dispatch."""
    # Of this attempt, by the real clock, whatever instant the sweep is run for: the receiver compares it with its own.
    at = clock.now()
    try:
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            **signed(webhook_id, body, keys=endpoint.keys(at), at=at),
        }
        answer = call("POST", endpoint.address, body=body, headers=headers)
    except OutgoingError as error:
        return Attempt(why=str(error))
    except Undecipherable as error:
        return Attempt(why=f"the endpoint's secret can't be read: {error}")
    except Exception as error:
        # Whatever it was: it is noted on this one, and the others go on.
        return Attempt(why=describe(error))
    said = storable(answer.body[: 4 * MAX_ANSWER].decode(errors="replace"))[:MAX_ANSWER]
    return Attempt(
        status=answer.status,
        seconds=round(answer.seconds, 3),
        answer=said,
        why="" if answer.is_success else _why(answer.status),
        pause=None if answer.is_success else pause_asked(answer.headers, at),
    )


def _why(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed, give the address that it leads to"
    return f"answered {status}"


def pause_asked(headers: Mapping[str, str], at: datetime) -> timedelta | None:
    """What `Retry-After` asks for (RFC 9110, 10.2.3): seconds, or a date; a day at most. None for neither."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        # Digits that no pause has room for are as good as the longest one.
        seconds = int(asked[:9])
        return min(timedelta(seconds=seconds), LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(asked)
    except (ValueError, TypeError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - at, timedelta(0)), LONGEST_PAUSE)
