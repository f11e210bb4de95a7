"""The erasure log: which accounts were erased, kept beside the backups.

A backup made before a purge brings the data back when it is restored. So the log is exported beside the backups
(`manage.py erasures --export`), and after a restore every account in it is erased again, and that is proven again
(`manage.py erasures --replay`). The log holds ids and dates only; a file of another installation is refused.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure import hash_chain, outside, runner, verification
from accounts.erasure.certificates import Certificate, System, instant
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.purge import Purge
from accounts.jobs import opening
from accounts.jobs.due_work import MORE

#: What an exported log says it is.
KIND = "erasures"
#: After a restore everything in the log is erased again within a day.
WITHIN = timedelta(days=1)


class OtherSystem(Exception):
    """The log is of another installation: its accounts are not ours."""


class TooOld(Exception):
    """The log ends before the last erasure that this database knows of: it is older than the backup."""


@dataclass(frozen=True)
class ReplayOutcome:
    """What became of one account of the log. `certificate` is None where nothing had to be erased, or it failed.

    `waits`: everything here is erased again, and the certificate waits for others (`accounts.erasure.outside`).
    """

    account_id: uuid.UUID
    certificate: int | None
    error: str = ""
    waits: str = ""


def export(path: Path) -> int:
    """Write the log of everything erased so far. Returns how many erasures it lists."""
    certificates = Certificate.objects.order_by("number").select_related("purge").iterator()
    return hash_chain.write(
        path, KIND, System.this(), hash_chain.linked(_entry(certificate) for certificate in certificates)
    )


def _entry(certificate: Certificate) -> dict[str, Any]:
    body = certificate.body
    # By which requests others were asked: after a restore they are told which one is repeated.
    asked = [{"store": entry["store"], "request": entry["request"]} for entry in certificate.elsewhere]
    external_id = certificate.purge.external_id
    return {
        **{fact: body[fact] for fact in ("account", "cause", "received_at", "deadline_at", "verified_at", "replay_of")},
        "certificate": certificate.number,
        "certificate_hash": certificate.hash,
        **({"elsewhere": asked} if asked else {}),
        **({"external_id": external_id} if external_id else {}),
    }


def replay(path: Path, *, at: datetime) -> Iterator[ReplayOutcome]:
    """Erase every account of the log that is in this database again. Raises `hash_chain.Altered`, `OtherSystem`,
    and, for a restored database, `TooOld` for a log from before the backup: it leaves out what was erased since.

    The whole file is checked before anything is erased. What a restore brought back is erased whatever holds and
    subscriptions it brought back with it: the decision has long been taken. Others are asked again about every account
    of the log (`accounts.erasure.outside`), and not waited for. Safe to repeat.
    """
    system, links = hash_chain.read(path, KIND)
    if system != System.this():
        raise OtherSystem(system)
    if not opening.known.is_open():
        _check_age(links)
    # An account that has been replayed before stands in the log more than once; the first time is what counts.
    first = {link.body["account"]: link.body for link in reversed(links)}
    return (_replay_one(uuid.UUID(account), body, at) for account, body in first.items())


def _check_age(links: list[hash_chain.ChainLink]) -> None:
    """Certificates of a replay are of after the restore, unless the log has them, too."""
    newest = Certificate.objects.filter(body__replay_of=None).order_by("number").last()
    if newest and newest.hash not in {link.body["certificate_hash"] for link in links}:
        raise TooOld(f"the log is older than the backup: it ends before certificate {newest.number}")


def _replay_one(account_id: uuid.UUID, body: dict[str, Any], at: datetime) -> ReplayOutcome:
    purge = _oblige(account_id, body, at)
    if purge is None:
        return ReplayOutcome(account_id, None)
    failures = purge.attempts
    while True:
        answer = runner.take_turn(purge, at)
        purge.refresh_from_db()
        # Whoever else works on it just now, the sweep for one, may be the one to finish it.
        if purge.verified_at:
            return ReplayOutcome(account_id, Certificate.objects.get(purge=purge).number)
        if purge.attempts > failures:
            return ReplayOutcome(account_id, None, purge.last_error)
        if purge.finished_at:
            return ReplayOutcome(account_id, None, waits=purge.waiting_for)
        if answer is not MORE:
            return ReplayOutcome(account_id, None, _what_stops(purge))


def _what_stops(purge: Purge) -> str:
    """Why a turn came to nothing, though nothing failed: another turn would come to nothing, too."""
    return "the purge was called off meanwhile" if purge.called_off_at else f"it waits: {purge.waiting_for or '?'}"


def _oblige(account_id: uuid.UUID, body: dict[str, Any], at: datetime) -> Purge | None:
    """The purge that erases the account again; None if nothing of it is here."""
    erased_at = datetime.fromisoformat(body["verified_at"])
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).filter(pk=account_id).first()
        purge = Purge.objects.of(account_id).open().locked().first()
        if purge is None:
            if account is None and not verification.left_in_database(account_id):
                outside.repeat(account_id, body, None, at)
                return None
            purge = Purge(account_id=account_id, cause=PurgeCause(body["cause"]), received_at=at)
        if not purge.started_at:
            purge.received_at = min(purge.received_at, at)
            purge.due_at, purge.deadline_at, purge.next_attempt_at = at, at + WITHIN, at
        purge.erased_before_at, purge.waiting_for = erased_at, ""
        purge.save()
        outside.repeat(account_id, body, purge, at)
        history.record(
            account_id,
            AccountEvent.PURGE_REPLAYED,
            at=at,
            by=Actor.system(),
            purge=purge.pk,
            erased_at=instant(erased_at),
        )
    return purge
