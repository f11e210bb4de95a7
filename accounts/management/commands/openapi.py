"""`manage.py openapi`: the document that describes the API."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.api import application

#: Where it is committed; a test compares the two.
PATH = Path(settings.BASE_DIR) / "docs" / "openapi.json"


class Command(BaseCommand):
    help = "Print the OpenAPI document of the API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true", help="write it to docs/openapi.json, which is committed")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["write"]:
            PATH.write_text(application.served(), encoding="utf-8")
        else:
            self.stdout.write(application.served(), ending="")
