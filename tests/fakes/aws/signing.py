"""A certificate authority of the fake's own, and signatures as SNS makes them.

Real SNS: a leaf for `sns.amazonaws.com`, issued by Amazon's public authority, served alone. Here: root, intermediate,
leaf; the leaf is served alone or with its intermediate.
"""

import base64
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "sns.amazonaws.com"
FROM = datetime(2020, 1, 1, tzinfo=UTC)
UNTIL = datetime(2049, 12, 31, tzinfo=UTC)

#: Which fields are signed, in this order; `Subject` only if it is there (AWS, "Verifying the signatures").
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  # as SNS does


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Authority:
    root: Certificate
    intermediate: Certificate

    def leaf(
        self, name: str = NAME, *, since: datetime = FROM, until: datetime = UNTIL, key: str = "leaf"
    ) -> Certificate:
        """A certificate for this host. Keys are made once a process: they take a tenth of a second."""
        return _issue(name, private_key(key), self.intermediate, since=since, until=until, authority=False)


@dataclass(frozen=True)
class Signer:
    """Signs with a key and says where its certificate is."""

    certificate_url: str
    key: rsa.RSAPrivateKey

    def sign(self, fields: Mapping[str, str], *, version: str) -> str:
        algorithm = HASHES.get(version, hashes.SHA256())
        return base64.b64encode(self.key.sign(text_to_sign(fields), padding.PKCS1v15(), algorithm)).decode()


def text_to_sign(fields: Mapping[str, str]) -> bytes:
    """Name, line feed, value, line feed, for each signed field that the message has."""
    names = SIGNED.get(fields.get("Type", ""), SIGNED["Notification"])
    return "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields).encode()


@functools.cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    """The key of this name, for the life of the process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def authority(name: str = "Test Authority") -> Authority:
    """An authority of its own: root and intermediate."""
    root = _issue(f"{name} Root", private_key(f"{name} root"), None, since=FROM, until=UNTIL, authority=True)
    below = _issue(f"{name} M01", private_key(f"{name} m01"), root, since=FROM, until=UNTIL, authority=True)
    return Authority(root, below)


def _issue(
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: Certificate | None,
    *,
    since: datetime,
    until: datetime,
    authority: bool,
) -> Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key = issuer.key if issuer else key
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return Certificate(builder.sign(issuer_key, hashes.SHA256()), key)
