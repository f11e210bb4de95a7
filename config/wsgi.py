"""The WSGI entry point of the web server."""

import os
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402  # as above

from accounts.core.private_files import close_to_others  # noqa: E402  # as above
from config.malformed import Handler  # noqa: E402  # needs the settings

# Where an older version left a folder open to other users of the machine, it is closed.
for folder in filter(None, (settings.MEDIA_ROOT, getattr(settings, "EMAIL_FILE_PATH", None))):
    close_to_others(Path(folder))

application = Handler()
