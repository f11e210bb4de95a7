"""Playing AWS by hand: `POST /_control/{verb}` with JSON, `GET /_control/state`."""

import json
from typing import TYPE_CHECKING

from tests.fakes.aws.protocols import Response

if TYPE_CHECKING:
    from tests.fakes.aws.fake import FakeAWS


def respond(aws: "FakeAWS", method: str, path: str, body: bytes) -> Response:
    return Response(404, json.dumps({"error": path}).encode())
