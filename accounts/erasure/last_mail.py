"""The last mail: an erased account's owner is told that all is gone, with a link to the proof. The `last-mail` sweep.

When the erasing begins, the owner's address, language and time zone are set aside, encrypted, for this one mail: what
they are read from is about to be erased. Nothing else of the owner is kept, not even a name. Once the certificate is
there the mail is sent and the address removed in the same breath. It is removed unsent, too: a week after the proof, if
no mail server takes it until then, and in any case `KEPT_AT_MOST` after the erasing began, whatever that waits for.

The link in it needs no account: whoever has it may read the certificate, for good. It cannot be guessed (32 random
bytes), and cannot be found here: only its SHA-256 is kept. The page names nobody (docs/erasure.md).
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from smtplib import SMTPResponseException
from typing import Any, Self
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import get_connection
from django.db import models, transaction
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.branding import letter
from accounts.branding.letter import Reader
from accounts.core.encryption import decrypt, encrypt
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.erasure.purge import Purge
from accounts.jobs import sweeps
from accounts.jobs.due_work import DueWork, DueWorkQuerySet, NotYet, overdue, run_due

#: The address is kept for no longer than this after the erasing has begun. The slowest of the processors that stores
#: elsewhere are likely to be promise 90 days.
KEPT_AT_MOST = timedelta(days=120)
#: So long after the proof the mail is tried again; as long as mail servers try themselves, and a weekend.
TRIED_FOR = timedelta(days=7)
#: A run ends after this long; the next one goes on.
RUN = timedelta(minutes=1)
#: Of random bytes in a link: nobody guesses 32.
LINK_BYTES = 32


class LastMailQuerySet(DueWorkQuerySet["LastMail"]):
    def pending(self) -> Self:
        """Those with an address still: to be sent once released, to be removed when its time is over."""
        return self.filter(sealed__isnull=False)

    def with_token(self, token: str) -> "LastMail | None":
        """The one whose link this is the end of."""
        return self.filter(link=digest(token)).select_related("purge__certificate").first()


class LastMail(DueWork):
    """The mail that brings the certificate of one purge to who owned the account. Empty of the address once it is sent.

    Due first when the address must go, and from its release on at once.
    """

    WAITING_SINCE = "released_at"
    OVERDUE = timedelta(hours=1)
    LONGEST_WAIT = timedelta(hours=6)

    purge = models.OneToOneField(
        Purge, on_delete=models.PROTECT, related_name="last_mail", verbose_name=_("purge"), editable=False
    )
    #: Encrypted JSON: address, language and zone of the owner, their number, and from the release on the link's token.
    sealed = models.BinaryField(_("to whom, encrypted"), null=True)
    keep_until = models.DateTimeField(_("address kept until"))
    #: When the certificate was there.
    released_at = models.DateTimeField(_("released"), null=True, blank=True)
    #: SHA-256 of the link's token.
    link = models.CharField(_("link"), max_length=64, null=True, blank=True, unique=True)  # unique
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    #: When the address was removed without a mail.
    given_up_at = models.DateTimeField(_("given up"), null=True, blank=True)

    objects = LastMailQuerySet.as_manager()

    class Meta:
        verbose_name = _("email with a certificate")
        verbose_name_plural = _("emails with certificates")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sealed__isnull=False, sent_at=None, given_up_at=None)
                | models.Q(sealed=None, sent_at__isnull=False, given_up_at=None)
                | models.Q(sealed=None, sent_at=None, given_up_at__isnull=False),
                name="last_mail_has_its_address_until_it_is_over",
            ),
            models.CheckConstraint(
                condition=models.Q(sent_at=None) | models.Q(released_at__isnull=False, link__isnull=False),
                name="last_mail_sent_with_a_link",
            ),
        ]
        indexes = [
            # As small as what waits.
            models.Index(
                fields=["next_attempt_at", "id"], condition=models.Q(sealed__isnull=False), name="last_mail_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purge_id}"

    def wait_until(self, at: datetime) -> datetime:
        """When it is tried again after a failure at `at`: never after its address must be gone."""
        return min(at + self.wait_after(self.attempts), self.keep_until)


def digest(token: str) -> str:
    """What is kept of a link's token. It is random: a fast hash is enough, and needs no key that could be lost."""
    return hashlib.sha256(token.encode()).hexdigest()


def set_aside(purge: Purge, account: Account | None, *, at: datetime) -> None:
    """Keep the owner's address for the last mail. In the transaction that begins the erasing, while there is an owner.

    After a restore nobody is told a second time of what is erased again.
    """
    owner = account.owner() if account else None
    if owner is None or purge.is_replay:
        return
    keep_until = at + KEPT_AT_MOST
    LastMail.objects.create(
        purge=purge, sealed=_sealed(_addressed(owner)), keep_until=keep_until, next_attempt_at=keep_until
    )


def release(purge: Purge, *, at: datetime) -> None:
    """Have the mail sent. In the transaction that proves the erasing.

    Whoever belongs to another account is still here: they are written to as they are known now.
    """
    mail = LastMail.objects.pending().select_for_update(no_key=True).filter(purge=purge).first()
    if mail is None:
        return
    if purge.is_replay or at >= mail.keep_until:
        _give_up(mail, at)
        return
    to = _opened(mail)
    if person := User.objects.filter(pk=to["person"]).first():
        to = _addressed(person)
    token = secrets.token_urlsafe(LINK_BYTES)
    mail.sealed, mail.link = _sealed({**to, "token": token}), digest(token)
    mail.released_at = mail.next_attempt_at = at
    mail.keep_until = min(mail.keep_until, at + TRIED_FOR)
    mail.save(update_fields=["sealed", "link", "released_at", "next_attempt_at", "keep_until"])


def kept_until(account_id: Any) -> datetime | None:
    """Until when an address of this account's owner is kept at the latest; None if none is."""
    mail = LastMail.objects.pending().filter(purge__account_id=account_id).order_by("-keep_until").first()
    return mail.keep_until if mail else None


def preview(at: datetime) -> Iterator[str]:
    """Which mails `send_due` would send or give up at `at`, a line each."""
    for mail in LastMail.objects.due(at).select_related("purge").iterator():
        does = "its address is removed, unsent" if at >= mail.keep_until else "mail with the certificate"
        yield f"{mail.purge.account_id} -: {does}"


def send_due(at: datetime) -> int:
    """Send every last mail that is due at `at`, and remove addresses whose time is over. Returns how many of both."""
    return run_due(LastMail.objects.select_related("purge__certificate").due, _send_or_give_up, at=at, run=RUN)


def _send_or_give_up(mail: LastMail, at: datetime) -> bool:
    if at >= mail.keep_until:
        with transaction.atomic():
            return _give_up(mail, at)
    try:
        to = _opened(mail)
        message = write(mail, to)
        message.connection = get_connection()
        message.send()
    except Exception as error:
        # Whatever went wrong, it is noted without its text: mail servers quote the address that they refuse.
        raise NotYet(_told(error), until=mail.wait_until(at)) from None
    with transaction.atomic():
        return _over(mail, at, AccountEvent.CERTIFICATE_SENT, sent_at=at)


def write(mail: LastMail, to: dict[str, Any]) -> Any:
    """The mail, in its reader's language and zone. If it goes out twice, it is under the same Message-ID."""
    certificate = mail.purge.certificate
    body = certificate.body
    return letter.write(
        "accounts/mail/erased",
        to=Reader(to["address"], language=to["language"], time_zone=to["time_zone"]),
        concerning=str(certificate.account_id),
        message_id=f"certificate-{certificate.number}",
        number=certificate.number,
        cause=body["cause"],
        received_at=datetime.fromisoformat(body["received_at"]),
        verified_at=datetime.fromisoformat(body["verified_at"]),
        link=address_of(to["token"], language=to["language"], time_zone=to["time_zone"]),
    )


def address_of(token: str, *, language: str, time_zone: str) -> str:
    """Where the certificate is read. The reader's language and zone stand in the address: here nothing is kept."""
    query = urlencode({"language": language, "time_zone": time_zone})
    return f"{settings.SITE_URL}{reverse('certificate', args=[token])}?{query}"


def _give_up(mail: LastMail, at: datetime) -> bool:
    return _over(mail, at, AccountEvent.CERTIFICATE_UNSENT, given_up_at=at, link=None)


def _over(mail: LastMail, at: datetime, what: AccountEvent, **changes: Any) -> bool:
    """Remove the address. False if somebody else has done so meanwhile."""
    rows = LastMail.objects.pending().filter(pk=mail.pk)
    if not rows.update(sealed=None, last_error="", **changes):
        return False
    history.record(mail.purge.account_id, what, at=at, by=Actor.system(), purge=mail.purge_id)
    return True


def _told(error: Exception) -> str:
    """An error without the words of whoever made it."""
    code = f" {error.smtp_code}" if isinstance(error, SMTPResponseException) else ""
    return f"{type(error).__name__}{code}"


def _addressed(owner: User) -> dict[str, Any]:
    return {
        "person": owner.pk,
        "address": owner.email,
        "language": owner.mail_language,
        "time_zone": str(owner.zone),
    }


def _sealed(to: dict[str, Any]) -> bytes:
    return encrypt(json.dumps(to))


def _opened(mail: LastMail) -> dict[str, Any]:
    assert mail.sealed is not None
    to: dict[str, Any] = json.loads(decrypt(mail.sealed))
    return to


SWEEP = sweeps.Sweep("last-mail", run=send_due, preview=preview, late_after=timedelta(minutes=15))

INVARIANTS = (
    overdue(
        LastMail,
        "last-mail-unsent",
        _("emails with a certificate that no mail server has taken for more than an hour"),
        example="purge__account_id",
        shown_as="purge",
    ),
)
