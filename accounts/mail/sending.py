"""Sending notices: the `notices` sweep.

Takes due notices one by one, and sends them outside of any transaction (`accounts.jobs.due_work`). Each mail has a
Message-ID of its own for ever: if a worker dies between handing a mail over and noting it, the same mail goes out
again under the same Message-ID.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.branding import letter
from accounts.branding.letter import Reader
from accounts.customers.user import User
from accounts.jobs import sweeps
from accounts.jobs.due_work import overdue, run_due
from accounts.mail.notices import Notice
from accounts.signing_in import way_in

#: A run ends after this long; the next one goes on. Below the broker's visibility time-out of an hour by far.
RUN = timedelta(minutes=1)


def preview(at: datetime) -> Iterator[str]:
    """What `send_due` would send at `at`, a line each."""
    for notice in Notice.objects.due(at).select_related("account").iterator():
        about = f"{notice.account_id} {notice.account.name}" if notice.account else "no account"
        yield f"{about}: mail {notice.kind} ({notice.occasion})"


def send_due(at: datetime) -> int:
    """Send every notice that is due at `at`. Returns how many went out; the others say why not, and are tried again."""
    connection = get_connection()

    def work(notice: Notice, at: datetime) -> bool:
        return send(notice, connection, at)

    due = Notice.objects.select_related("recipient", "account").due
    try:
        return run_due(due, work, at=at, run=RUN)
    finally:
        connection.close()


def send(notice: Notice, connection: BaseEmailBackend, at: datetime) -> bool:
    """Hand one notice to the mail server and note that it was taken. Raises whatever is wrong with mail or server."""
    message = write(notice)
    message.connection = connection
    try:
        connection.open()
        message.send()
    except Exception:
        # What the server thinks of the connection now is anybody's guess; the next mail gets a new one.
        connection.close()
        raise
    with transaction.atomic():
        return bool(Notice.objects.unsent().filter(pk=notice.pk).update(sent_at=at, last_error=""))


def write(notice: Notice, *, rehearsed: bool = False) -> EmailMultiAlternatives:
    """The mail, in its reader's language and zone (`accounts.branding.letter`).

    A mail that is only `rehearsed` has no link in it by which whoever reads it first could come in.
    """
    reader = notice.reader
    app, name = notice.kind.split("/")
    facts = {
        key: datetime.fromisoformat(value) if key.endswith("_at") and value else value
        for key, value in notice.facts.items()
    }
    return letter.write(
        f"{app}/mail/{name}",
        to=_letter_reader(notice, reader),
        concerning=notice.account.name if notice.account else "",
        message_id=f"notice-{notice.pk}",
        **facts,
        account=notice.account,
        desk=notice.account is None,
        reader=reader,
        way_in=_hidden_way_in if rehearsed else lambda: way_in.link(reader) if reader else "",
    )


def _letter_reader(notice: Notice, reader: User | None) -> Reader:
    """Who reads it, and how. Whoever is not here yet reads what whoever wrote to them reads."""
    if reader is None:
        return Reader(notice.address, language=str(notice.facts.get("language") or settings.LANGUAGE_CODE))
    return Reader(notice.sent_to, name=reader.name, language=reader.mail_language, time_zone=str(reader.zone))


def _hidden_way_in() -> str:
    return f"{settings.SITE_URL}/auth/…"


SWEEP = sweeps.Sweep("notices", run=send_due, preview=preview, late_after=timedelta(minutes=5))

INVARIANTS = (
    overdue(
        Notice,
        "unsent-mail",
        _("mails queued more than 15 minutes ago and still not sent"),
        listed_by="sent_at__isempty=1",
    ),
)
