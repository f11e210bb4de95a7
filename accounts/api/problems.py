"""What the API says when it does not do what it was asked: `application/problem+json` (RFC 9457), in every case.

`type` leads to a page about the code, `detail` says what to do next, `errors` names the fields that are to blame. What
the caller sent is never said back: answers end up in logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse

#: Below it nobody but the API answers.
ROOT = "/api/v1/"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Code:
    """A kind of problem: what it is called, its status, and what to do about it in general."""

    name: str
    status: HTTPStatus
    title: str
    advice: str

    @property
    def type(self) -> str:
        """The address of the page about it."""
        return f"{settings.SITE_URL}{ROOT}problems/{self.name}/"


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field. `pointer`: a JSON pointer into the body; `query:` or `header:` and a name else."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """Ends a call: nothing was changed. Answered by `response`."""

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code.name)
        self.code = code
        self.detail = detail or code.advice
        self.errors = errors
        self.headers = dict(headers or {})

    def response(self) -> JsonResponse:
        return response(self.code, self.detail, errors=self.errors, headers=self.headers)


def response(
    code: Code, detail: str = "", *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> JsonResponse:
    """The document, with its status."""
    body: dict[str, Any] = {
        "type": code.type,
        "title": code.title,
        "status": int(code.status),
        "detail": detail or code.advice,
        "code": code.name,
        "errors": [{"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in errors],
    }
    return JsonResponse(
        body, status=code.status, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **(headers or {})}
    )


def is_ours(request: HttpRequest) -> bool:
    """Whether this is asked of the API, and answered in its manner whatever goes wrong."""
    return request.path_info.startswith(ROOT)


def of_status(status: HTTPStatus) -> JsonResponse:
    """The answer for what went wrong before or beside our code (`accounts.views.errors`)."""
    return response(_BY_STATUS.get(status, SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else BAD_REQUEST))


def _code(name: str, status: HTTPStatus, title: str, advice: str) -> Code:
    code = Code(name, status, title, advice)
    CODES[name] = code
    return code


#: Every code that there is, by its name.
CODES: dict[str, Code] = {}

BAD_REQUEST = _code(
    "bad_request",
    HTTPStatus.BAD_REQUEST,
    "The request could not be read",
    "Send what the document at openapi.json describes, in UTF-8. Nothing was changed.",
)
BAD_JSON = _code(
    "bad_json", HTTPStatus.BAD_REQUEST, "The body is not JSON", "Send one JSON object in UTF-8. Nothing was changed."
)
KEY_MISSING = _code(
    "idempotency_key_missing",
    HTTPStatus.BAD_REQUEST,
    "This call needs an Idempotency-Key",
    "Send the header Idempotency-Key with a value of your own choice, and the same one when you repeat the call.",
)
UNAUTHORIZED = _code(
    "unauthorized",
    HTTPStatus.UNAUTHORIZED,
    "There is no valid token in this request",
    "Send a token as `Authorization: Bearer TOKEN`; one that is neither revoked nor expired.",
)
NOT_SIGNED = _code(
    "not_signed",
    HTTPStatus.UNAUTHORIZED,
    "There is no valid signature on this report",
    "Sign the raw body with the secret of the store that was asked, with the request as webhook-id, and send it.",
)
FORBIDDEN = _code(
    "missing_scope",
    HTTPStatus.FORBIDDEN,
    "The token may not do this",
    "Use a token with the scope that this call needs.",
)
NOT_FOUND = _code(
    "not_found", HTTPStatus.NOT_FOUND, "There is nothing here", "There is no such address, or no row with such an id."
)
NOT_ALLOWED = _code(
    "method_not_allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "This address does not take such a request",
    "Use one of the methods in the header Allow.",
)
CONFLICT = _code(
    "refused",
    HTTPStatus.CONFLICT,
    "The state of things does not allow this",
    "Read the resource again, and decide anew. Nothing was changed.",
)
STILL_RUNNING = _code(
    "still_running",
    HTTPStatus.CONFLICT,
    "The same call is being carried out just now",
    "Repeat it, with the same key, in a second.",
)
EXTERNAL_ID_TAKEN = _code(
    "external_id_taken",
    HTTPStatus.CONFLICT,
    "Something else has this external id",
    "The one that has it differs from what was sent, or is another row. Nothing was changed.",
)
ADDRESS_TAKEN = _code(
    "address_taken",
    HTTPStatus.CONFLICT,
    "Somebody else signs in by this address",
    "A person with this mail address is known under another external id. Nothing was changed.",
)
ENDPOINT_ADDRESS_TAKEN = _code(
    "endpoint_address_taken",
    HTTPStatus.CONFLICT,
    "There is an endpoint with this address",
    "It would hear everything twice. Change the types of the one that is there, or remove it first.",
)
NOTHING_TO_REPLAY = _code(
    "nothing_to_replay",
    HTTPStatus.CONFLICT,
    "There is no message to send again",
    "A test is made anew, and messages are kept for 30 days.",
)
BILLED_ELSEWHERE = _code(
    "billed_elsewhere",
    HTTPStatus.CONFLICT,
    "A marketplace bills this subscription",
    "It is changed, cancelled and ended at the marketplace, which tells us.",
)
CONTRACT = _code(
    "contract",
    HTTPStatus.CONFLICT,
    "This is a contract of the sales team",
    "It is changed and ended at the support desk.",
)
ALREADY_ENDED = _code(
    "already_ended", HTTPStatus.CONFLICT, "The subscription is over", "There is nothing left to change, cancel or keep."
)
OVERLAPPING = _code(
    "another_subscription",
    HTTPStatus.CONFLICT,
    "The account has another subscription in that time",
    "An account has one at a time. End the other one first, or begin when it ends.",
)
NO_LIST_PRICE = _code(
    "no_list_price", HTTPStatus.CONFLICT, "There is no list price", "Say in `cents` what a seat costs for one cycle."
)
NOT_SOLD = _code(
    "not_sold", HTTPStatus.CONFLICT, "This plan is not sold any more", "Choose another one: GET plans/ names them."
)
LAST_OWNER = _code(
    "last_owner",
    HTTPStatus.CONFLICT,
    "An account keeps its owner",
    "Hand the account over first (POST …/ownership/), then remove this person.",
)
NOT_PROVEN = _code(
    "not_proven",
    HTTPStatus.CONFLICT,
    "Nobody has proven that this address is theirs",
    "The new owner has to sign in once, or follow a link in a mail of ours, before taking over.",
)
OUT_OF_DATE = _code(
    "out_of_date",
    HTTPStatus.CONFLICT,
    "What was promised is not so any more",
    "Another cycle has begun: the subscription would end at another instant. Read it again and ask again.",
)
ERASED = _code(
    "erased",
    HTTPStatus.GONE,
    "The account is being erased, or has been",
    "Nothing is told of it and nothing can be done to it any more.",
)
STALE = _code(
    "stale",
    HTTPStatus.PRECONDITION_FAILED,
    "The resource has changed meanwhile",
    "Read it again, and send its new ETag in If-Match.",
)
TOO_LARGE = _code(
    "too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too long", "A body has at most 262,144 bytes."
)
TOO_SLOW = _code(
    "body_too_slow",
    HTTPStatus.REQUEST_TIMEOUT,
    "The body did not come in time",
    "Send it without a pause. Nothing was changed.",
)
NOT_JSON = _code(
    "unsupported_media_type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "The body has to be JSON",
    "Send `Content-Type: application/json`, in UTF-8.",
)
INVALID = _code(
    "invalid",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "Some of what was sent can't be taken",
    "Each entry of `errors` names a field and what is wrong with it. Nothing was changed.",
)
BAD_ENDPOINT = _code(
    "bad_endpoint",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "No endpoint can be like this",
    "An address is https:// and public, or within OUTGOING_ALLOWED_NETWORKS (http:// only there), without a user and "
    "without #; types are those of docs/events.md; a secret is `whsec_` and 24 to 64 random bytes in base64. Nothing "
    "was changed.",
)
BAD_RANGE = _code(
    "bad_range",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "This stretch of time ends before it begins",
    "Send `until` after `since`.",
)
KEY_REUSED = _code(
    "idempotency_key_reused",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "This Idempotency-Key was used for another body",
    "A key stands for one call and its repetitions. Choose a new one for a new call.",
)
IF_MATCH_MISSING = _code(
    "precondition_required",
    HTTPStatus.PRECONDITION_REQUIRED,
    "A change needs If-Match",
    "Send the ETag of what you have read in the header If-Match.",
)
TOO_MANY = _code(
    "too_many_requests",
    HTTPStatus.TOO_MANY_REQUESTS,
    "That is more than one token may ask in a minute",
    "Go on after as many seconds as Retry-After says.",
)
EVENTS_GONE = _code(
    "events_gone",
    HTTPStatus.GONE,
    "Some of what has happened since is gone",
    "Messages are kept for 30 days. Read your accounts anew, then go on without `after`.",
)
SERVER_ERROR = _code(
    "server_error",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something went wrong on our side",
    "Nothing was half done. Repeat the call, with the same Idempotency-Key, in a minute.",
)
UNAVAILABLE = _code(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "We can't answer just now",
    "Nothing was half done. Repeat the call, with the same Idempotency-Key, in a minute.",
)

_BY_STATUS = {
    code.status: code
    for code in (BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, TOO_SLOW, TOO_LARGE, NOT_JSON, SERVER_ERROR, UNAVAILABLE)
}
