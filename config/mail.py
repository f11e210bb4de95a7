"""Mail as files, for the embedded stack and for tests."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from accounts.core.private_files import private_folder, write_private


class FolderBackend(BaseEmailBackend):
    """Writes each mail to ``EMAIL_FILE_PATH`` as one ``.eml`` file, named by its Message-ID.

    Handing over the same mail twice leaves one file, as a mailbox that knows Message-IDs would show it once.
    They are read by who runs the product, and by no other user of the machine.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = private_folder(Path(settings.EMAIL_FILE_PATH))
        for message in email_messages:
            mime = message.message()
            name = re.sub(r"[^A-Za-z0-9.-]", "-", str(mime["Message-ID"]).strip("<>"))
            unfinished = folder / f".{name}.{os.getpid()}"
            write_private(unfinished, mime.as_bytes())
            unfinished.replace(folder / f"{name}.eml")
        return len(email_messages)
