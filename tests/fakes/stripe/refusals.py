"""How Stripe says no."""

from typing import Any

from tests.fakes.stripe.spec import Json


class Refused(Exception):  # it is what an answer says
    """An answer with an `error`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: Json = {"type": type, "message": message, **more}
        if code:
            self.error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
        if param:
            self.error["param"] = param


def missing(kind: str, id: str, param: str = "id") -> Refused:
    """Also what an object of the other mode is answered with."""
    return Refused(404, f"No such {kind}: '{id}'", code="resource_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refused:
    return Refused(400, message, code=code, param=param)
