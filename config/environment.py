"""The environment as settings read it: lists without blanks, and whatever is missing or senseless named at once.

A server that lacks three secrets says so in one message, not in three starts. Settings are read through one
`Environment`; at their end `stop_if_wrong` stops the start.
"""

import os
from collections import ChainMap
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError

from accounts.core import foreign_input
from accounts.outgoing import addresses


class Environment(environ.Env):  # type: ignore[misc]  # django-environ has no types
    """`django-environ`, and what it leaves to its user."""

    def __init__(self, shared: Path) -> None:
        super().__init__()
        #: Where `make run` writes what commands beside it read.
        self.shared = shared
        self.missing: list[str] = []
        self.wrong: list[str] = []
        #: Every setting that there is, by its name: what the documentation has to explain.
        self.asked: set[str] = set()
        given = dict(os.environ)
        self.read_env(shared)
        for name in sorted(given):
            if given[name] and given.get(f"{name}_FILE"):
                self.wrong.append(f"{name} and {name}_FILE are both set: which one counts?")
        #: What was read from files comes before what `make run` has written down.
        self.ENVIRON = ChainMap({}, os.environ)

    def get_value(self, var: str, *args: Any, **options: Any) -> Any:
        """The value of `var`; if `VAR_FILE` names a file, what stands in it (a secret of Docker's or Kubernetes's)."""
        self.asked.add(var)
        file = os.environ.get(f"{var}_FILE")
        if file and var not in self.ENVIRON.maps[0]:
            self.ENVIRON.maps[0][var] = self._read(var, Path(file))
        return super().get_value(var, *args, **options)

    def _read(self, name: str, file: Path) -> str:
        try:
            # An editor ends a file with a line break, which is no part of a secret.
            return file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            self.wrong.append(f"{name}_FILE: {file} could not be read ({type(error).__name__}).")
            return ""

    def passed_on(self, *names: str) -> None:
        """Put what files say where libraries look for it that read the environment themselves."""
        for name in names:
            if self.str(name, default="") and os.environ.get(f"{name}_FILE"):
                os.environ[name] = self.str(name)

    def needed(self, name: str) -> str:
        """A value without which no server may start."""
        value: str = self.str(name, default="").strip()
        if not value:
            self.missing.append(name)
        return value

    def listed(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Comma-separated values, without blanks around them; empty ones do not count."""
        return [value for part in self.list(name, default=list(default)) if (value := part.strip())]

    def secrets(self, name: str, *, needed: bool = False) -> list[str]:
        """Comma-separated secrets, of which none may be empty: anybody could send that."""
        values = [part.strip() for part in self.str(name, default="").split(",")]
        if values == [""]:
            self.missing += [name] * needed
            return []
        self.check(all(values), f"{name} contains an empty secret: anybody could send it.")
        return values

    def one_line(self, name: str, *, default: str, limit: int) -> str:
        """A name on one line, of at most `limit` characters. Nothing but blanks counts as not set."""
        value = self.str(name, default="").strip() or default
        try:
            return foreign_input.name(value, limit=limit)
        except ValidationError:
            self.wrong.append(f"{name} must be one line of at most {limit} characters.")
            return default

    def mail_address(self, name: str, *, default: str) -> str:
        """An address alone, in the form in which addresses are kept."""
        value = self.str(name, default="").strip() or default
        try:
            return foreign_input.address(value)
        except ValidationError:
            self.wrong.append(f"{name} must be a mail address such as {default}, not {value!r}.")
            return default

    def web_address(self, name: str, *, default: str = "") -> str:
        """An http or https address without user and password; may be empty if the default is."""
        value = self.str(name, default="").strip() or default
        self.check(
            not value or _is_web_address(value),
            f"{name} must be an address such as https://www.example.com/, not {value!r}.",
        )
        return value

    def networks(self, name: str) -> list[str]:
        """Comma-separated networks such as 10.1.0.0/16. One with bits beyond its mask is a slip of somebody's."""
        written = self.listed(name)
        for one in written:
            try:
                addresses.networks([one])
            except ValueError:
                self.wrong.append(f"{name} must be networks such as 10.1.0.0/16, not {one!r}.")
        return written

    def check(self, is_so: object, otherwise: str) -> None:
        """Note what is wrong with a setting, if something is. `otherwise` names the setting."""
        if not is_so:
            self.wrong.append(otherwise)

    def stop_if_wrong(self) -> None:
        """Raise `ImproperlyConfigured`, which names all that is missing or wrong."""
        lines = [*self.wrong]
        if self.missing:
            are = "is" if len(self.missing) == 1 else "are"
            beside = (
                ""
                if self.shared.exists()
                else (
                    f" A command beside `make run` reads {self.shared}, which is not there: start `make run` first, or "
                    "set its DATA_DIR for the command, too: DATA_DIR=… .venv/bin/python manage.py …"
                )
            )
            lines.append(
                f"{', '.join(self.missing)} {are} not set. Set what is missing in the environment, or use `make run`, "
                f"which makes it up for its own stack.{beside}"
            )
        if lines:
            raise ImproperlyConfigured("\n".join(lines))


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # raises for what is no number
    except ValueError:
        return False
    is_plain = text.isprintable() and not any(letter in text for letter in " \"'<>\\")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and is_plain
