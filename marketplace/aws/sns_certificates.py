"""The certificates with which SNS signs: where they may come from, which of them are believed, and for how long.

Only one form of address is ever fetched: https, a host of SNS in the topic's region, a file name of SNS. Anything else
in it, however small, is a forgery and costs no connection (facts/aws-marketplace, 2.10 and 2.11).

What makes a certificate believed: its name and its dates, always; and where it comes from. AWS serves the leaf alone,
and its issuer's certificate is in no trust store, so that the chain can't always be built:

- Is the issuer at hand (in the answer, among certifi's roots, in `AWS_SNS_TRUST_FILE`), the whole chain must verify.
- With `AWS_SNS_TRUST_FILE` or `AWS_SNS_CERTIFICATE_URL` set, the whole chain must verify whatever is at hand.
- Otherwise the leaf is believed because it came over TLS from SNS's own host, whose certificate was verified.

Checked certificates are kept in the process for an hour. Anybody who knows a topic can name an address that SNS might
have, so fetching must not tire us out: few are fetched at a time, and whoever else needs one is told to come again; an
address that gave no certificate is not asked again for a while.
"""

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from django.conf import settings

log = logging.getLogger(__name__)

#: Seconds for the whole fetch. SNS itself waits 15 for our answer.
TIMEOUT = 5.0
#: So many threads of a process may wait for a certificate at once: it has sixteen, and everything else to answer.
MOST_AT_ONCE = 2
#: Seconds for which an address is left alone that did not answer, less than SNS waits before it comes again; and for
#: which one is that answered with something else than a certificate.
UNREACHABLE_FOR, UNTRUSTED_FOR = 15.0, 60.0
#: Failures that are remembered, the newest: whoever makes up more addresses than that waits in line for them.
MOST_FAILURES = 1000
#: A leaf with its chain has about 6 kB.
MAX_BYTES = 32 * 1024
#: More than any chain has.
MAX_CERTIFICATES = 8
#: Public authorities issue nothing shorter.
MIN_KEY_BITS = 2048
#: Seconds that a certificate is kept.
KEPT = 3600.0
#: SNS has one certificate at a time in each region, and two while it changes.
MOST_KEPT = 16
FILE = r"/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem"


class Elsewhere(Exception):
    """The address is not one of SNS's in this region. Nothing was fetched."""


class Untrusted(Exception):
    """What is at the address is not a certificate of SNS that is good now."""


class Unreachable(Exception):
    """The certificate could not be had just now: try again later."""


@dataclass(frozen=True)
class SnsCertificate:
    key: RSAPublicKey
    valid_from: datetime
    valid_until: datetime


_kept: OrderedDict[str, tuple[SnsCertificate, float]] = OrderedDict()
_failed: OrderedDict[str, tuple[Untrusted | Unreachable, float]] = OrderedDict()
_lock = threading.Lock()
_slots = threading.BoundedSemaphore(MOST_AT_ONCE)


def certificate_at(url: str, *, region: str, at: datetime) -> SnsCertificate:
    """The certificate at this address, good at `at`. Raises `Elsewhere`, `Untrusted` or `Unreachable`."""
    host = _host_in(url, region)
    with _lock:
        certificate, until = _kept.get(url, (None, 0.0))
    if certificate is None or until < time.monotonic():
        certificate = _fetched_and_checked(url, host, at)
    if not certificate.valid_from <= at <= certificate.valid_until:
        raise Untrusted("The certificate is not valid at this time.")
    return certificate


def forget() -> None:
    """Forget what is kept, so that it is fetched and checked again."""
    with _lock:
        _kept.clear()
        _failed.clear()


def _fetched_and_checked(url: str, host: str, at: datetime) -> SnsCertificate:
    """The certificate at an address that has been checked, unless it failed just now or too many are being fetched."""
    with _lock:
        failure, until = _failed.get(url, (None, 0.0))
    if failure and time.monotonic() < until:
        raise type(failure)(*failure.args)
    if not _slots.acquire(blocking=False):
        raise Unreachable("Other certificates are being fetched. Deliver it again.")
    try:
        certificate = _checked(_fetched(url), host, at)
    except (Untrusted, Unreachable) as error:
        _remember(url, error)
        raise
    finally:
        _slots.release()
    _keep(url, certificate)
    return certificate


def _host_in(url: str, region: str) -> str:
    for template in settings.AWS_SNS_HOSTS:
        host: str = template.replace("{region}", region)
        # The whole text is matched, not its parts: no two readers of addresses can disagree about it.
        if re.fullmatch(f"https://{re.escape(host)}{FILE}", url):
            return host
    raise Elsewhere("SigningCertURL is not an address of SNS in the topic's region.")


def _keep(url: str, certificate: SnsCertificate) -> None:
    with _lock:
        _failed.pop(url, None)
        _kept[url] = certificate, time.monotonic() + KEPT
        _kept.move_to_end(url)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)


def _remember(url: str, error: Untrusted | Unreachable) -> None:
    lasts = UNREACHABLE_FOR if isinstance(error, Unreachable) else UNTRUSTED_FOR
    with _lock:
        _failed[url] = error, time.monotonic() + lasts
        _failed.move_to_end(url)
        while len(_failed) > MOST_FAILURES:
            _failed.popitem(last=False)


def _fetched(url: str) -> bytes:
    """What is at the address, at most `MAX_BYTES` of it. The address has been checked."""
    if settings.AWS_SNS_CERTIFICATE_URL:
        url = settings.AWS_SNS_CERTIFICATE_URL + urlsplit(url).path
    stop, body = time.monotonic() + TIMEOUT, b""
    try:
        with httpx.stream(
            "GET", url, timeout=TIMEOUT, follow_redirects=False, headers={"Accept-Encoding": "identity"}
        ) as answer:
            if answer.status_code >= 500 or answer.status_code in (408, 429):
                raise Unreachable(f"The certificate's host answered {answer.status_code}.")
            if answer.status_code != 200:
                raise Untrusted(f"The certificate's host answered {answer.status_code}.")
            for piece in answer.iter_raw():
                body += piece
                if len(body) > MAX_BYTES:
                    raise Untrusted("The certificate is too large to be one.")
                if time.monotonic() > stop:
                    raise Unreachable("The certificate came too slowly.")
    except httpx.HTTPError as error:
        raise Unreachable(f"The certificate could not be fetched: {type(error).__name__}.") from error
    return body


def _checked(pem: bytes, host: str, at: datetime) -> SnsCertificate:
    try:
        leaf, *served = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Untrusted("What was served is not a certificate.") from error
    key = leaf.public_key()
    if len(served) >= MAX_CERTIFICATES or not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise Untrusted("The certificate is not of the kind that SNS has.")
    name = _name_of(leaf, host)
    if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
        raise Untrusted("The certificate is not valid at this time.")
    _check_chain(leaf, served, name, at)
    return SnsCertificate(key, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _name_of(leaf: x509.Certificate, host: str) -> str:
    """Which of SNS's names the certificate is for: the host's, or the same without its region."""
    service, _region, domain = host.split(".", 2)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise Untrusted("The certificate names no host.") from error
    for name in names.get_values_for_type(x509.DNSName):
        if name in (host, f"{service}.{domain}"):
            return name
    raise Untrusted("The certificate is not for SNS.")


def _check_chain(leaf: x509.Certificate, served: list[x509.Certificate], name: str, at: datetime) -> None:
    roots, known = _trusted(settings.AWS_SNS_TRUST_FILE)
    issuers = {certificate.subject for certificate in (leaf, *served, *roots, *known)}
    must_be_whole = bool(settings.AWS_SNS_TRUST_FILE or settings.AWS_SNS_CERTIFICATE_URL)
    if leaf.issuer not in issuers and not must_be_whole:
        return
    verifier = PolicyBuilder().store(Store(list(roots))).time(at).build_server_verifier(x509.DNSName(name))
    try:
        verifier.verify(leaf, [*served, *known])
    except VerificationError as error:
        raise Untrusted("The certificate's chain does not lead to a trusted root.") from error


@cache
def _trusted(file: str) -> tuple[tuple[x509.Certificate, ...], tuple[x509.Certificate, ...]]:
    """Roots, and certificates between them and a leaf. A file without roots stands on certifi's."""
    given = x509.load_pem_x509_certificates(Path(file).read_bytes()) if file else []
    roots = tuple(certificate for certificate in given if certificate.subject == certificate.issuer)
    between = tuple(certificate for certificate in given if certificate.subject != certificate.issuer)
    return roots or tuple(_public_roots()), between


def _public_roots() -> Iterator[x509.Certificate]:
    """Certifi's. One by one: an authority's odd certificate must not cost all the others."""
    bundle = Path(certifi.where()).read_bytes()
    for pem in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", bundle, re.DOTALL):
        try:
            yield x509.load_pem_x509_certificate(pem)
        except ValueError:
            log.warning("a root of certifi's can't be read")
