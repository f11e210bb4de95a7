"""Errors to Sentry, if `SENTRY_DSN` says where: the place in the code and the ids of what it was about; nobody's data.

An error's own words may quote an address, a traceback's variables a whole row. So what is sent is put together here of
what can hold none: types, places, lines of our source, templates of log messages, ids. All else stays here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accounts.core.errors import describe
from accounts.core.log_context import told_now

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

#: What of an event is passed on as it is.
HARMLESS = (
    "event_id", "timestamp", "level", "platform", "logger", "release", "environment", "sdk", "modules", "server_name",
)  # fmt: skip
CONTEXTS = ("runtime", "os", "trace")
FRAME = (
    "filename", "abs_path", "function", "module", "lineno", "pre_context", "context_line", "post_context", "in_app",
)  # fmt: skip
LEFT_OUT = "(left out: it may name somebody)"


def start(dsn: str, *, environment: str) -> str:
    """Send errors from now on, of web server, workers and commands. Returns what is wrong; nothing if nothing is."""
    try:
        import sentry_sdk
    except ImportError:
        return "SENTRY_DSN is set and Sentry's SDK is not installed: uv sync --no-default-groups --extra sentry"
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn,
            environment=environment,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            traces_sample_rate=None,
            auto_session_tracking=False,
            before_send=scrubbed,
        )
    except BadDsn:
        return "SENTRY_DSN is no address of Sentry's, such as https://key@sentry.example/1."
    return ""


def scrubbed(event: "Event", hint: "Hint") -> "Event":
    """What may leave of an event."""
    told: Mapping[str, Any] = event
    found: dict[str, Any] = {name: told[name] for name in HARMLESS if name in told}
    found["contexts"] = {name: told["contexts"][name] for name in CONTEXTS if name in told.get("contexts", {})}
    # Ids: of the request, the sweep, the account.
    found["tags"] = dict(told_now())
    # The pattern of a page's address, not the address: that may hold a token.
    if told.get("transaction_info", {}).get("source") != "url" and "transaction" in told:
        found["transaction"] = told["transaction"]
    if "logentry" in told:
        found["logentry"] = {"message": _template(told["logentry"], hint)}
    if "exception" in told:
        errors = _errors(hint)
        values = [_exception(value, errors) for value in told["exception"].get("values", [])]
        found["exception"] = {"values": values}
    return found  # type: ignore[return-value]  # the same, with less in it


def _template(entry: Mapping[str, Any], hint: "Hint") -> str:
    """A log message without the values put into it; left out where it was put together before it was logged."""
    record = hint.get("log_record")
    return str(entry.get("message", "")) if record is not None and record.args else LEFT_OUT


def _errors(hint: "Hint") -> dict[str, str]:
    """What the errors of the database say, by type, without the values that they quote."""
    found: dict[str, str] = {}
    error = (hint.get("exc_info") or (None, None, None))[1]
    while error is not None and len(found) < 20:
        # Only of the database's own words is it known which part quotes nothing.
        cause = error.__cause__
        if getattr(getattr(cause, "diag", None), "message_primary", None):
            found[type(error).__name__] = describe(error)
        error = cause or error.__context__
    return found


def _exception(value: Mapping[str, Any], errors: Mapping[str, str]) -> dict[str, Any]:
    frames = value.get("stacktrace", {}).get("frames", [])
    return {
        "type": value.get("type"),
        "module": value.get("module"),
        "value": errors.get(str(value.get("type")), LEFT_OUT),
        "mechanism": {key: value["mechanism"][key] for key in ("type", "handled") if key in value.get("mechanism", {})},
        "stacktrace": {"frames": [{name: frame[name] for name in FRAME if name in frame} for frame in frames]},
    }
