"""Whether mails reach anybody: only where a mail server, or a service that sends, is set (`EMAIL_URL`)."""

from django.conf import settings

#: They keep mails, or show them; nobody gets any.
KEPT_HERE = (
    "config.mail.FolderBackend",
    "django.core.mail.backends.console.EmailBackend",
    "django.core.mail.backends.dummy.EmailBackend",
    "django.core.mail.backends.filebased.EmailBackend",
    "django.core.mail.backends.locmem.EmailBackend",
)


def reaches_people() -> bool:
    """Whether mails leave this machine."""
    return settings.EMAIL_BACKEND not in KEPT_HERE
