"""Certificates: the proof that a purge was carried out.

What was erased, counted by store; what others have erased on our word (`elsewhere`); what was kept and why; when, by
which cause, and whether the deadline was met, here and there.
Each carries the hash of the one before, so that a missing or altered one shows; the database refuses to change or
delete any. `manage.py certificates --verify` goes through them all. No personal data.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pgtrigger
from django.db import models
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.core import locks
from accounts.core.locks import Lock
from accounts.erasure import hash_chain, inventory, outside
from accounts.erasure.hash_chain import ChainLink
from accounts.erasure.holds import Hold
from accounts.erasure.purge import Purge

#: What an exported file of certificates says it is.
KIND = "certificates of erasure"


class System(models.Model):
    """This installation, by an id that a backup carries along: a file of another one is refused."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installations")

    def __str__(self) -> str:
        return str(self.pk)

    @classmethod
    def this(cls) -> str:
        return str(cls.objects.get().pk)


class Certificate(models.Model):
    """The proof of one purge. Written by `append`, in the transaction that declares the purge verified."""

    number = models.PositiveIntegerField(_("number"), primary_key=True)
    purge = models.OneToOneField(
        Purge, on_delete=models.PROTECT, related_name="certificate", verbose_name=_("purge"), editable=False
    )
    account_id = models.UUIDField(_("account"), db_index=True)
    issued_at = models.DateTimeField(_("issued"))
    body: "models.JSONField[Any, Any]" = models.JSONField(_("what it says"))
    previous = models.CharField(_("hash of the one before"), max_length=64)
    hash = models.CharField(_("hash"), max_length=64)

    class Meta:
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")
        ordering = ["number"]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.number}"

    @property
    def link(self) -> ChainLink:
        return ChainLink(self.body, self.previous, self.hash)

    @property
    def elsewhere(self) -> list[dict[str, Any]]:
        """What others have erased on our word."""
        return [entry for entry in self.body.get("elsewhere", []) if "store" in entry]

    @property
    def remains(self) -> list[dict[str, Any]]:
        """What is left of the account with others, and why."""
        found: list[dict[str, Any]] = self.body.get("remains", self.body.get("elsewhere", []))
        return [entry for entry in found if "store" not in entry]

    def as_json(self) -> str:
        """The record as it stands in an exported file, in one line."""
        return self.link.line()


def append(purge: Purge, *, at: datetime) -> Certificate:
    """Issue the certificate of a purge in which nothing is left. The caller's transaction declares it verified."""
    # One at a time, so that each comes after exactly one other and no number is left out.
    locks.take(Lock.CERTIFICATES)
    last = Certificate.objects.last()
    number, previous = (last.number + 1, last.hash) if last else (1, hash_chain.NOTHING)
    body = _body(purge, number, at)
    return Certificate.objects.create(
        number=number,
        purge=purge,
        account_id=purge.account_id,
        issued_at=at,
        body=body,
        previous=previous,
        hash=hash_chain.seal(body, previous),
    )


def _body(purge: Purge, number: int, at: datetime) -> dict[str, Any]:
    assert purge.finished_at is not None
    met_here = purge.finished_at <= purge.deadline_at
    elsewhere = outside.answers(purge)
    met_elsewhere = all(entry["deadline_met"] for entry in elsewhere) if elsewhere else None
    holds = Hold.objects.of(purge.account_id).filter(set_at__gte=purge.received_at).order_by("pk")
    # In one language, whoever runs the sweep: a certificate is a record.
    with translation.override("en"):
        return {
            "number": number,
            "account": str(purge.account_id),
            "cause": purge.cause,
            "received_at": instant(purge.received_at),
            "due_at": instant(purge.due_at),
            "deadline_at": instant(purge.deadline_at),
            "started_at": instant(purge.started_at),
            "finished_at": instant(purge.finished_at),
            "verified_at": instant(at),
            "deadline_met": met_here and met_elsewhere is not False,
            "deadline_met_here": met_here,
            # Null: nobody else was asked.
            "deadline_met_elsewhere": met_elsewhere,
            "replay_of": instant(purge.erased_before_at),
            "erased": purge.erased(),
            "left": 0,
            "kept": [
                {
                    "what": entry.name,
                    "reason": str(entry.reason),
                    "ground": str(entry.ground),
                    "scrubbed": str(entry.scrubbed),
                    "until": instant(entry.until(purge.account_id)) if entry.until else None,
                    **({"records": purge.kept[entry.name]} if entry.name in purge.kept else {}),
                }
                for entry in inventory.kept()
            ],
            "elsewhere": elsewhere,
            # Certificates of before others were asked told this as `elsewhere`, in entries without a `store`.
            "remains": inventory.remains(purge.account_id),
            "paid_back": inventory.paid_back(purge.account_id, purge.received_at),
            "holds": [
                {
                    "set_at": instant(hold.set_at),
                    "until": instant(hold.until),
                    "confirmed_at": instant(hold.confirmed_at),
                    "released_at": instant(hold.released_at),
                }
                for hold in holds
            ],
        }


def instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def faults() -> Iterator[str]:
    """What is wrong with the certificates in this database, a line each; nothing when all is well."""
    previous, expected = hash_chain.NOTHING, 1
    for certificate in Certificate.objects.order_by("number").iterator():
        if certificate.number != expected:
            yield f"certificate {expected} is missing"
        elif certificate.previous != previous:
            yield f"certificate {certificate.number} does not follow the one before: one of the two is altered"
        if not certificate.link.is_sound() or not _agrees(certificate):
            yield f"certificate {certificate.number} is altered"
        previous, expected = certificate.hash, certificate.number + 1
    for purge in Purge.objects.exclude(verified_at=None).filter(certificate=None).order_by("pk"):
        yield f"the certificate of account {purge.account_id}, erased {purge.verified_at:%Y-%m-%d}, is missing"


def _agrees(certificate: Certificate) -> bool:
    """Whether the columns beside the sealed body say the same as it does."""
    body = certificate.body
    return (body.get("number"), body.get("account"), body.get("verified_at")) == (
        certificate.number,
        str(certificate.account_id),
        instant(certificate.issued_at),
    )


def export(path: Path) -> int:
    """Write all certificates to a file, for keeping elsewhere. Returns how many."""
    links = (certificate.link for certificate in Certificate.objects.order_by("number").iterator())
    return hash_chain.write(path, KIND, System.this(), links)


def faults_of_file(path: Path) -> Iterator[str]:
    """What is wrong with an exported file, by itself and against this database."""
    try:
        system, links = hash_chain.read(path, KIND)
    except hash_chain.Altered as altered:
        yield str(altered)
        return
    if system != System.this():
        yield f"the file is of another installation ({system})"
        return
    here = dict(Certificate.objects.values_list("number", "hash"))
    for link in links:
        number = link.body.get("number")
        if number not in here:
            yield f"certificate {number} is missing from this database"
        elif here[number] != link.hash:
            yield f"certificate {number} in this database is not the one in the file"
