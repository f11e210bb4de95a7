"""Calls out go where they may, take no longer than they may, and read no more than they may."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accounts.outgoing import addresses
from accounts.outgoing.client import AddressRefused, NoAnswer, OutgoingAnswer, TooSlow, call
from tests.fakes.receiver import Receiver, Reply, receiver

NOT_PUBLIC = "it leads to a network that is not public, nor in OUTGOING_ALLOWED_NETWORKS"
ONLY_INSIDE = "plain http is for networks in OUTGOING_ALLOWED_NETWORKS alone"


@pytest.fixture
def there(settings: Any) -> Iterator[Receiver]:
    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
    with receiver() as found:
        yield found


def names(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> list[str]:
    """The names' server answers so, one time after the other; the last one ever after. Returns what it was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **options: Any) -> list[Any]:
        if host[0].isdigit() or ":" in host:
            return real(host, *rest, **options)
        asked.append(host)
        numbers = answers[min(len(asked), len(answers)) - 1]
        return [entry for number in numbers for entry in real(number, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_an_answer_is_told_as_it_came(there: Receiver) -> None:
    there.reply(Reply(418, b"short and stout", {"X-Kind": "teapot"}))
    answer = call("POST", f"{there.url}?a=1", body=b"{}", headers={"content-type": "application/json"})
    assert (answer.status, answer.body, answer.is_whole, answer.is_success) == (418, b"short and stout", True, False)
    assert answer.headers["x-kind"] == "teapot"
    assert 0 < answer.seconds < 5
    (came,) = there.calls
    assert (came.method, came.path, came.body) == ("POST", "/hook?a=1", b"{}")
    assert came.headers == {
        "host": f"127.0.0.1:{there.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "2",
    }


def test_a_connection_serves_the_next_call_too(there: Receiver) -> None:
    for _again in range(5):
        assert call("POST", there.url, body=b"{}").status == 200
    assert there.connections == 1


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "127.1",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104  # a place to call, here
        "255.255.255.255",
        "224.0.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[ff0e::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[::]",
    ],
)
def test_what_is_not_public_is_not_called(host: str, settings: Any) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = []
    with pytest.raises(AddressRefused, match=NOT_PUBLIC):
        call("GET", f"https://{host}:1/", timeout=2)
    with pytest.raises(AddressRefused, match=ONLY_INSIDE):
        call("GET", f"http://{host}:1/", timeout=2)


@pytest.mark.parametrize("number", ["8.8.8.8", "2606:4700::1111", "192.0.0.9", "::ffff:8.8.8.8"])
def test_what_is_public_may_be_called(number: str) -> None:
    assert addresses.is_public(addresses.read(number))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "hook",
        "ftp://receiver.example/",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "https://",
        "https://user:pass@receiver.example/",
        "https://receiver.example:port/",
        "https://\x00/",
        "//receiver.example/",
        "https://0177.0.0.1/",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        call("GET", address)


def test_a_private_network_is_opened_by_the_setting_alone(there: Receiver, settings: Any) -> None:
    assert call("GET", there.url).status == 200
    settings.OUTGOING_ALLOWED_NETWORKS = ["10.0.0.0/8"]
    # Not even over the connection that is still there.
    with pytest.raises(AddressRefused):
        call("GET", there.url)
    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    assert call("GET", there.url).status == 200
    assert len(there.calls) == 2


def test_the_dress_of_an_opened_address_is_no_matter(there: Receiver) -> None:
    assert call("GET", f"http://[::ffff:127.0.0.1]:{there.port}/").status == 200


def test_the_operators_own_address_may_lead_anywhere(there: Receiver, settings: Any) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = []
    assert call("GET", there.url, trusted=True).status == 200
    # And its connection serves no address of anybody else's.
    with pytest.raises(AddressRefused):
        call("GET", there.url)


def test_a_name_that_means_something_else_the_next_time_gains_nothing(
    there: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = []
    asked = names(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])
    with pytest.raises(AddressRefused):
        call("GET", f"https://rebinding.example:{there.port}/", timeout=1)
    with pytest.raises(AddressRefused):
        call("GET", f"https://rebinding.example:{there.port}/", timeout=1)
    # Once a call: what was checked is what was connected to.
    assert asked == ["rebinding.example"] * 2
    assert there.connections == 0


def test_what_was_checked_is_what_is_connected_to(there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, ["127.0.0.1"], ["127.0.0.99"])
    assert call("GET", f"http://rebinding.example:{there.port}/").status == 200
    assert asked == ["rebinding.example"]
    assert there.calls[0].headers["host"] == f"rebinding.example:{there.port}"


def test_an_inner_address_beside_an_outer_one_refuses_both(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = []
    names(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(AddressRefused, match=NOT_PUBLIC):
        call("GET", "https://two.example/", timeout=1)


def test_the_next_address_of_a_name_is_tried(there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    assert call("GET", f"http://two.example:{there.port}/").status == 200


def test_a_redirect_is_an_answer_and_is_not_followed(there: Receiver) -> None:
    there.reply(Reply(302, b"", {"location": there.url + "/elsewhere"}))
    answer = call("POST", there.url, body=b"{}")
    assert (answer.status, answer.is_success, len(there.calls)) == (302, False, 1)


def test_the_environments_proxy_is_not_used(there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert call("GET", there.url).status == 200


@pytest.mark.parametrize(
    "slow",
    [Reply(wait=3), Reply(body=b"x" * 100, drip=0.05)],
    ids=["before the answer", "a byte at a time"],
)
def test_the_deadline_is_for_all_of_the_call(there: Receiver, slow: Reply) -> None:
    there.reply(slow)
    began = time.monotonic()
    with pytest.raises(TooSlow, match="takes too long to answer"):
        call("GET", there.url, timeout=0.2)
    assert time.monotonic() - began < 2


def test_a_name_that_nobody_can_tell_does_not_hold_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: time.sleep(1))
    began = time.monotonic()
    with pytest.raises(TooSlow):
        call("GET", "https://slow-names.example/", timeout=0.1)
    assert time.monotonic() - began < 0.9


def test_of_a_big_answer_no_more_is_read_than_the_limit(there: Receiver) -> None:
    there.reply(Reply(200, b"x" * 1_000_000), Reply(200, b"y" * 1000))
    answer = call("GET", there.url, limit=1000)
    assert (answer.status, answer.body, answer.is_whole) == (200, b"x" * 1000, False)
    # What was left of it is not taken for the answer to the next one.
    answer = call("GET", there.url, limit=1000)
    assert (answer.body, answer.is_whole) == (b"y" * 1000, True)


def test_an_answer_without_end_in_its_headers_is_none(there: Receiver) -> None:
    there.reply(Reply(200, b"", {"x-long": "x" * 200_000}))
    with pytest.raises(NoAnswer, match=r"does not answer \(RemoteProtocolError\)"):
        call("GET", there.url)


def test_who_vanishes_or_is_not_there_has_not_answered(there: Receiver) -> None:
    there.reply(Reply(vanish=True))
    with pytest.raises(NoAnswer, match=r"does not answer \(RemoteProtocolError\)"):
        call("POST", there.url, body=b"{}")
    with pytest.raises(NoAnswer, match=r"does not answer \(ConnectError\)"):
        call("GET", "http://127.0.0.1:1/")
    with pytest.raises(NoAnswer, match=r"does not answer \(ConnectError\)"):
        call("GET", "https://nobody.invalid/")


# Certificates


@pytest.fixture
def authority(tmp_path: Path, settings: Any) -> Callable[..., Path]:
    """Makes certificates that the operator's own authority vouches for; `OUTGOING_CA_FILE` names it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Harbour's own authority")])
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, public: Any, until: datetime, *extra: tuple[x509.ExtensionType, bool]) -> Any:
        builder = x509.CertificateBuilder().issuer_name(name).subject_name(subject).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=90)).not_valid_after(until)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key, hashes.SHA256())

    mine = certificate(
        name, key.public_key(), now + timedelta(days=90), (x509.BasicConstraints(ca=True, path_length=0), True)
    )
    ca = tmp_path / "ca.pem"
    ca.write_bytes(mine.public_bytes(serialization.Encoding.PEM))
    settings.OUTGOING_CA_FILE = str(ca)

    def make(*, days: int = 1, host: str = "127.0.0.1") -> Path:
        own = ec.generate_private_key(ec.SECP256R1())
        is_number = host[0].isdigit()
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host)) if is_number else x509.DNSName(host)])
        vouched = certificate(x509.Name([]), own.public_key(), now + timedelta(days=days), (names, True))
        file = tmp_path / f"{host}.{days}.pem"
        file.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + vouched.public_bytes(serialization.Encoding.PEM)
        )
        return file

    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    return make


def over_tls(certificate: Path) -> OutgoingAnswer:
    with receiver(certificate=certificate) as found:
        return call("POST", found.url, body=b"{}")


def test_the_operators_own_authority_vouches(authority: Callable[..., Path]) -> None:
    assert over_tls(authority()).status == 200


def test_an_expired_certificate_is_no_answer_and_says_so(authority: Callable[..., Path]) -> None:
    with pytest.raises(NoAnswer, match=r"does not answer \(its certificate: certificate has expired\)"):
        over_tls(authority(days=-1))


def test_a_certificate_for_another_name_is_no_answer(authority: Callable[..., Path]) -> None:
    with pytest.raises(NoAnswer, match="its certificate: IP address mismatch"):
        over_tls(authority(host="elsewhere.example"))


def test_a_certificate_that_nobody_vouches_for_is_no_answer(authority: Callable[..., Path], settings: Any) -> None:
    file = authority()
    settings.OUTGOING_CA_FILE = ""
    with pytest.raises(NoAnswer, match="its certificate: unable to get local issuer certificate"):
        over_tls(file)
