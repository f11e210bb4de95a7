"""The WSGI entry point of the web server."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from config.malformed import Handler  # noqa: E402  # needs the settings

application = Handler()
