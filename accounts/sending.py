"""Sending notices: the `notices` sweep.

Takes due notices a few at a time, moves their next attempt ahead of the time that sending can take (so a second
worker leaves them alone, and a killed one's are tried again), and sends them outside of any transaction. Each mail
has a Message-ID of its own for ever: if a worker dies between handing a mail over and noting it, the same mail goes
out again under the same Message-ID.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts import clock, invariants, sweeps
from accounts.notices import Notice

#: Claimed at once. Twenty mails at the mail server's time-out of 10 s take 200 s, well within the lease.
BATCH = 20
#: For so long a claimed notice is left to the worker that claimed it.
LEASE = timedelta(minutes=10)
#: The first wait after a failure; it doubles with every further one.
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
#: A run ends after this long; the next one goes on. Below the broker's visibility time-out of an hour by far.
RUN = timedelta(minutes=5)
#: A notice unsent for so long is shown to staff.
OVERDUE = timedelta(minutes=15)


def register() -> None:
    """Register the sweep and its invariant. Called once, by `AccountsConfig.ready`."""
    sweeps.register(sweeps.Sweep("notices", run=send_due, preview=preview, late_after=timedelta(minutes=5)))
    invariants.register(
        invariants.Invariant(
            "unsent-mail",
            _("mails queued more than 15 minutes ago and still not sent"),
            lambda at: Notice.objects.unsent().filter(queued_at__lt=at - OVERDUE),
            listed_by="sent_at__isempty=1",
        )
    )


def preview(at: datetime) -> Iterator[str]:
    """What `send_due` would send at `at`, a line each."""
    for notice in Notice.objects.due(at).select_related("account").iterator():
        yield f"{notice.account_id} {notice.account.name}: mail {notice.kind} ({notice.occasion})"


def send_due(at: datetime) -> int:
    """Send what is due at `at`. Returns how many went out. A failure is noted on its row and tried again later."""
    sent = 0
    stop = clock.now() + RUN
    connection = get_connection()
    try:
        while clock.now() < stop and (batch := claim(at)):
            sent += sum(send(notice, connection, at) for notice in batch)
    finally:
        connection.close()
    return sent


def claim(at: datetime) -> list[Notice]:
    """Take up to `BATCH` due notices for this worker, until the lease is over."""
    with transaction.atomic():
        batch = list(
            Notice.objects.due(at)
            .select_related("recipient", "account")
            .select_for_update(skip_locked=True, no_key=True, of=("self",))[:BATCH]
        )
        for notice in batch:
            notice.attempts += 1
            notice.next_attempt_at = at + LEASE
        Notice.objects.bulk_update(batch, ["attempts", "next_attempt_at"])
    return batch


def send(notice: Notice, connection: BaseEmailBackend, at: datetime) -> bool:
    """Hand one notice to the mail server and note the outcome. Returns whether it was taken."""
    try:
        message = write(notice)
        message.connection = connection
        connection.open()
        message.send()
    except Exception as error:
        # Whatever is wrong with one mail or with the server is noted on the row, and never holds up the others.
        wait = min(FIRST_WAIT * 2 ** min(notice.attempts - 1, 20), LONGEST_WAIT)
        Notice.objects.unsent().filter(pk=notice.pk).update(
            next_attempt_at=at + wait, last_error=f"{type(error).__name__}: {error}"[:2000]
        )
        connection.close()
        return False
    return bool(Notice.objects.unsent().filter(pk=notice.pk).update(sent_at=at, last_error=""))


def write(notice: Notice) -> EmailMultiAlternatives:
    """The mail, in its reader's language and zone. The first line of the text template is the subject."""
    reader = notice.recipient
    app, name = notice.kind.split("/")
    facts = {
        key: datetime.fromisoformat(value) if key.endswith("_at") and value else value
        for key, value in notice.facts.items()
    }
    context = {**facts, "account": notice.account, "reader": reader, "site_url": settings.SITE_URL}
    language = reader.language or reader.browser_language or settings.LANGUAGE_CODE
    with translation.override(language), timezone.override(ZoneInfo(reader.time_zone)):
        subject, text = render_to_string(f"{app}/mail/{name}.txt", context).split("\n", 1)
        html = render_to_string(f"{app}/mail/{name}.html", {**context, "subject": subject})
    message = EmailMultiAlternatives(subject.strip(), text.strip() + "\n", to=[reader.email])
    message.extra_headers = {
        "Message-ID": f"<notice-{notice.pk}@{urlsplit(settings.SITE_URL).hostname}>",
        "Auto-Submitted": "auto-generated",
        "Content-Language": language,
    }
    message.attach_alternative(html, "text/html")
    return message
