"""The one way in which this system calls others: vendors' billing, receivers of events, stores elsewhere.

A call has one deadline for all of it (finding the address, connecting, TLS, sending, each byte of the answer), a cap on
what is read, and no redirects: a 3xx is an answer like any other. Nothing of the environment's proxies is used.

Addresses come from two sources. The operator's own, from the settings, are `trusted`. All others were typed by people:
they may lead to public addresses by https, and to anything else only within `OUTGOING_ALLOWED_NETWORKS`. The check is
made on the numbers that are connected to, so a name that means one machine when it is checked and another when it is
called (DNS rebinding) gains nothing; TLS still checks the name.

Connections are kept for the next call to the same place: to a receiver that hears ten thousand things.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

import certifi
import httpcore
import httpx
from django.conf import settings

from accounts.outgoing import addresses
from accounts.outgoing.addresses import Network

#: Seconds for a whole call, unless it is told otherwise (Standard Webhooks 1.0: 15 to 30).
TIMEOUT = 15.0
#: Bytes of an answer that are read, unless told otherwise; what comes after them is left on the line.
LIMIT = 64 * 1024
#: Seconds for which a connection is kept that nobody uses. Short: a receiver that closes it meanwhile costs an attempt.
KEPT = 3.0
#: Connections kept at once, in a process.
KEPT_CONNECTIONS = 20


ONLY_INSIDE = "plain http is for networks in OUTGOING_ALLOWED_NETWORKS alone"


class OutgoingError(Exception):
    """There is no answer. `str()` says why, for staff, in English, without the address."""


class AddressRefused(OutgoingError):
    """The call was not made: its address is none that may be called."""


class NoAnswer(OutgoingError):
    """The call was made, as far as it went; whether the other side has understood it nobody knows."""


class TooSlow(NoAnswer):
    """The deadline passed before the answer was there."""


@dataclass(frozen=True)
class OutgoingAnswer:
    """What came back: any status. `headers` by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    #: How long it took, by the clock on the wall.
    seconds: float
    #: Whether `body` is all of it; if not, it is its first `limit` bytes.
    is_whole: bool = True

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


def call(
    method: str,
    address: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout: float = TIMEOUT,
    limit: int = LIMIT,
    trusted: bool = False,
    into: Callable[[bytes], None] | None = None,
) -> OutgoingAnswer:
    """Make one call and return its answer, whatever its status. Raises `AddressRefused`, `NoAnswer`, `TooSlow`.

    `timeout`: seconds for all of it. `limit`: bytes of the answer that are read. `trusted`: the address is the
    operator's, from the settings, and may lead anywhere. `into`: is handed the body of a 200 piece by piece, up to
    `limit`, for what is too long for the memory; `body` is empty then. What it raises ends the call.
    """
    target = _target(address)
    began = time.monotonic()
    made = _Call(began + timeout, trusted=trusted, plain=target.scheme == b"http", opened=_opened())
    pool = _pool(os.getpid(), trusted, made.opened, settings.OUTGOING_CA_FILE)
    # Nobody asks for a compressed answer: a small one could be a large one.
    sent = {"host": _host(target), "accept": "*/*", "accept-encoding": "identity", **headers}
    if body or method in ("POST", "PUT", "PATCH"):
        sent["content-length"] = str(len(body))
    waits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
    with (
        made.under_way(),
        _errors_named(),
        pool.stream(
            method,
            target,
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()],
            content=body,
            extensions={"timeout": waits},
        ) as answer,
    ):
        if into and answer.status == 200:
            said, is_whole = b"", _hand_on(answer.iter_stream(), limit, into)
        else:
            said, is_whole = _read(answer.iter_stream(), min(limit, LIMIT) if into else limit)
    found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
    return OutgoingAnswer(answer.status, found, said, time.monotonic() - began, is_whole)


def check_address(address: str) -> None:
    """Raises `AddressRefused` for what could never be called, as far as that can be told without calling.

    A name may mean anything by the time of the call: that is checked then.
    """
    target = _target(address)
    made = _Call(0, trusted=False, plain=target.scheme == b"http", opened=_opened())
    host = target.host.decode("ascii")
    try:
        addresses.read(host)
    except ValueError:
        if made.plain and not made.opened:
            raise AddressRefused(ONLY_INSIDE) from None
        return
    made.check(host)


def _read(pieces: Iterable[bytes], limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes, and whether that is all."""
    said = bytearray()
    for piece in pieces:
        said += piece
        if len(said) > limit:
            return bytes(said[:limit]), False
    return bytes(said), True


def _hand_on(pieces: Iterable[bytes], limit: int, into: Callable[[bytes], None]) -> bool:
    """Hand on the first `limit` bytes. Whether that is all."""
    left = limit
    for piece in pieces:
        into(piece[:left])
        left -= len(piece)
        if left < 0:
            return False
    return True


def _target(address: str) -> httpcore.URL:
    """The address in the form in which it is called. Raises `AddressRefused`."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        raise AddressRefused("it is no address that can be called") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise AddressRefused("it is no http or https address, or has a name and password in it")
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _host(target: httpcore.URL) -> str:
    host = target.host.decode("ascii")
    host = f"[{host}]" if ":" in host else host
    return host if target.port is None else f"{host}:{target.port}"


def _opened() -> tuple[Network, ...]:
    return _networks(tuple(settings.OUTGOING_ALLOWED_NETWORKS))


@cache
def _networks(written: tuple[str, ...]) -> tuple[Network, ...]:
    return addresses.networks(written)


@contextmanager
def _errors_named() -> Iterator[None]:
    """Whatever the libraries raise for a call that failed, as ours."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise TooSlow("takes too long to answer") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        why = _of_the_certificate(error)
        raise NoAnswer(f"does not answer ({why or type(error).__name__})") from error


def _of_the_certificate(error: BaseException | None) -> str:
    """What is wrong with the other side's certificate, if that is why, such as `certificate has expired`."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate: {error.verify_message}"
        error = error.__cause__ or error.__context__
    return ""


@dataclass
class _Call:
    """The call that a thread is making: what the layers below the library's pool have to know of it."""

    deadline: float
    trusted: bool
    #: By http: then only where the operator has opened a network.
    plain: bool
    opened: Sequence[Network] = field(default_factory=tuple)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def left(self) -> float:
        """Seconds until the deadline. Raises httpcore's time-out if there are none."""
        found = self.deadline - time.monotonic()
        if found <= 0:
            raise httpcore.ReadTimeout
        return found

    def check(self, number: str) -> None:
        """Raises `AddressRefused` unless this number may be connected to."""
        if self.trusted:
            return
        address = addresses.read(number)
        if addresses.is_within(address, self.opened):
            return
        if self.plain:
            raise AddressRefused(ONLY_INSIDE)
        if not addresses.is_public(address):
            raise AddressRefused("it leads to a network that is not public, nor in OUTGOING_ALLOWED_NETWORKS")


_current: ContextVar[_Call] = ContextVar("outgoing_call")


class _Stream(httpcore.NetworkStream):
    """A connection, of which no wait is longer than what is left of the call."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self.inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _current.get().left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, _current.get().left())

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, _current.get().left()))

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Finds what a name means, checks every number of it, and connects to one that was checked."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        made = _current.get()
        numbers = _resolved(host, port, made.left())
        # All of them, not only the one that would be taken: an inner one beside a public one is a trick.
        for number in numbers:
            made.check(number)
        failed: Exception | None = None
        for number in numbers:
            try:
                return _Stream(super().connect_tcp(number, port, made.left(), local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("the name means no address")

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        raise AddressRefused("a socket of this machine is no address")


def _resolved(host: str, port: int, wait: float) -> list[str]:
    """The numbers that a name means now, each once. Raises httpcore's errors.

    The system's resolver knows no deadline: it is asked beside this thread, and left behind if it takes too long.
    """
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    asking = threading.Thread(target=ask, daemon=True, name="outgoing-resolver")
    asking.start()
    asking.join(wait)
    if not found:
        raise httpcore.ConnectTimeout
    (answer,) = found
    if isinstance(answer, Exception):
        raise httpcore.ConnectError("the name means no address") from answer
    return list(dict.fromkeys(str(place[0]) for _family, _kind, _protocol, _name, place in answer))


@cache
def _pool(_process: int, _trusted: bool, _opened: tuple[Network, ...], authorities: str) -> httpcore.ConnectionPool:
    """The connections of this process: those of the operator's addresses apart from the others.

    By what was opened, too, so that a connection made under one setting serves none under another.
    """
    return httpcore.ConnectionPool(
        ssl_context=_tls(authorities),
        max_connections=None,
        max_keepalive_connections=KEPT_CONNECTIONS,
        keepalive_expiry=KEPT,
        retries=0,
        network_backend=_Backend(),
    )


@cache
def _tls(authorities: str) -> ssl.SSLContext:
    """Who is believed to vouch for a server: Mozilla's list, and the operator's own authorities."""
    context = ssl.create_default_context(cafile=certifi.where())
    if authorities:
        context.load_verify_locations(cafile=authorities)
    return context
