"""AWS's wire protocols, read and written by botocore's own service models, so that the fake can't drift from them.

A call comes as Smithy RPC v2 CBOR, as AWS JSON or, for SNS, as a query: which of them boto3 speaks depends on its
version. Input and output are held against the shapes of the model: members, types, enumerations, patterns, lengths.
"""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import botocore.session
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from botocore.validate import ParamValidator

Json = dict[str, Any]

#: By the target prefix with which a call names its service.
SERVICES = {
    "AWSMPMeteringService": "meteringmarketplace",
    "AWSMPEntitlementService": "marketplace-entitlement",
    "AWSMPCommerceService_v20200301": "marketplace-agreement",
}
CBOR_PATH = re.compile(r"/service/(\w+)/operation/(\w+)")
REQUEST_ID = "6a3c1f04-0000-4000-8000-00000000cafe"


class Malformed(Exception):
    """Not a call that any of AWS's protocols knows, or one that its model forbids."""


class Failed(Exception):
    """The call is answered with this error of AWS's."""

    def __init__(self, code: str, message: str = "", status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ApiCall:
    """A call, read and found to conform to its model."""

    service: str
    operation: str
    protocol: str
    arguments: Json
    #: Of the credentials that signed it.
    access_key: str

    @property
    def name(self) -> str:
        return f"{self.service}.{self.operation}"


def read(path: str, headers: Mapping[str, str], body: bytes) -> ApiCall | None:
    """The call in this request; None if it is none. Raises `Malformed`."""
    target, prefix, operation = headers.get("X-Amz-Target", ""), "", ""
    if found := CBOR_PATH.fullmatch(path):
        protocol, (prefix, operation) = "cbor", found.groups()
        arguments = _from_cbor(body)
    elif target:
        protocol = "json"
        prefix, _, operation = target.partition(".")
        arguments = _from_json(body)
    elif b"Action=" in body:
        protocol, prefix = "query", "sns"
        arguments = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = arguments.pop("Action")
        arguments.pop("Version", None)
    else:
        return None
    service = "sns" if protocol == "query" else SERVICES.get(prefix, "")
    if not service or operation not in model(service).operation_names:
        raise Malformed(f"No operation {prefix}.{operation}")
    shape = model(service).operation_model(operation).input_shape
    if wrong := differences(arguments, shape):
        raise Malformed("; ".join(wrong))
    credential = re.search(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", headers.get("Authorization", ""))
    return ApiCall(service, operation, protocol, arguments, credential.group(1) if credential else "")


def answer(call: ApiCall, result: Json) -> Response:
    """What the call is answered with; an answer that the model doesn't know is a mistake of the fake."""
    shape = model(call.service).operation_model(call.operation).output_shape
    if wrong := differences(result, shape):
        raise AssertionError(f"{call.name} would answer what its model forbids: {'; '.join(wrong)}")
    if call.protocol == "cbor":
        return Response(200, _to_cbor(result, shape), _headers(call))
    if call.protocol == "json":
        return Response(200, json.dumps(result, default=_epoch).encode(), _headers(call))
    members = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in result.items())
    return Response(
        200,
        f'<{call.operation}Response xmlns="{model("sns").metadata["xmlNamespace"]}">'
        f"<{call.operation}Result>{members}</{call.operation}Result>"
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{call.operation}Response>".encode(),
        _headers(call),
    )


def failure(call: ApiCall, failed: Failed) -> Response:
    """An error on the wire, with the status that the model says."""
    errors = {shape.name: shape for shape in model(call.service).operation_model(call.operation).error_shapes}
    metadata = errors[failed.code].metadata if failed.code in errors else {}
    wire = metadata.get("error", {})
    usual = 500 if metadata.get("fault") or failed.code.startswith("InternalService") else 400
    status = failed.status or wire.get("httpStatusCode", usual)
    if call.protocol == "query":
        kind = "Receiver" if status >= 500 else "Sender"
        body = (
            f'<ErrorResponse xmlns="{model("sns").metadata["xmlNamespace"]}"><Error><Type>{kind}</Type>'
            f"<Code>{wire.get('code', failed.code)}</Code><Message>{escape(failed.message)}</Message></Error>"
            f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        ).encode()
        return Response(status, body, _headers(call))
    said = {"__type": f"com.amazonaws.marketplace#{failed.code}", "message": failed.message}
    headers = _headers(call) | {"x-amzn-errortype": failed.code}
    return Response(status, _strings_to_cbor(said) if call.protocol == "cbor" else json.dumps(said).encode(), headers)


@functools.cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def differences(value: Any, shape: Any) -> list[str]:
    """How a value differs from what the model says of it."""
    report = ParamValidator().validate(value, shape)
    wrong = [report.generate_report()] if report.has_errors() else []
    return wrong + _finer_differences(value, shape, shape.name)


def _finer_differences(value: Any, shape: Any, where: str) -> list[str]:
    """What botocore leaves to the service: members that don't exist, enumerations, patterns and lengths."""
    if shape.type_name == "structure" and isinstance(value, dict):
        wrong = [f"{where} has no member {name}" for name in value if name not in shape.members]
        for name, member in value.items():
            if name in shape.members:
                wrong += _finer_differences(member, shape.members[name], f"{where}.{name}")
        return wrong
    if shape.type_name == "list" and isinstance(value, list):
        wrong = _length(len(value), shape, where)
        return wrong + [each for item in value for each in _finer_differences(item, shape.member, f"{where}[]")]
    if shape.type_name == "map" and isinstance(value, dict):
        wrong = [each for key in value for each in _finer_differences(key, shape.key, f"{where} key")]
        return wrong + [
            each for key, item in value.items() for each in _finer_differences(item, shape.value, f"{where}.{key}")
        ]
    if shape.type_name == "string" and isinstance(value, str):
        wrong = _length(len(value), shape, where)
        if shape.enum and value not in shape.enum:
            wrong.append(f"{where}: {value!r} is none of {', '.join(shape.enum)}")
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            wrong.append(f"{where}: {value!r} does not match {pattern}")
        return wrong
    if shape.type_name == "integer" and isinstance(value, int):
        return _length(value, shape, where)
    return []


def _length(length: int, shape: Any, where: str) -> list[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and length < least) or (most is not None and length > most):
        return [f"{where}: {length} is not between {least} and {most}"]
    return []


def _headers(call: ApiCall) -> dict[str, str]:
    headers = {"x-amzn-requestid": REQUEST_ID}
    if call.protocol == "cbor":
        return headers | {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    if call.protocol == "json":
        return headers | {"Content-Type": f"application/x-amz-json-{model(call.service).metadata['jsonVersion']}"}
    return headers | {"Content-Type": "text/xml"}


def _from_json(body: bytes) -> Json:
    try:
        arguments = json.loads(body or b"{}")
    except ValueError:
        raise Malformed("Not JSON") from None
    if not isinstance(arguments, dict):
        raise Malformed("Not an object")
    return arguments


def _from_cbor(body: bytes) -> Json:
    parser = RpcV2CBORParser()
    try:
        arguments = parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
    except (ValueError, botocore.parsers.ResponseParserError):
        raise Malformed("Not CBOR") from None
    if not isinstance(arguments, dict):
        raise Malformed("Not a map")
    return arguments


def _to_cbor(value: Json, shape: Any) -> bytes:
    written = bytearray()
    RpcV2CBORSerializer()._serialize_data_item(written, value, shape)
    return bytes(written)


def _strings_to_cbor(pairs: dict[str, str]) -> bytes:
    # A map of fewer than 24 pairs has its length in the first byte.
    written = bytearray([0xA0 | len(pairs)])
    for pair in pairs.items():
        for text in pair:
            RpcV2CBORSerializer()._serialize_type_string(written, text, None, None)
    return bytes(written)


def _epoch(moment: object) -> float:
    if isinstance(moment, datetime):
        return moment.timestamp()
    raise TypeError(f"{moment!r} is not JSON")
