"""Mail handed to a provider over HTTP instead of SMTP: `EMAIL_URL=anymail+postmark://TOKEN@`."""

from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from config.environment import Environment

PREFIX = "anymail+"
#: By the name of the provider's backend: the setting of django-anymail that its key is.
KEYS = {
    "brevo": "BREVO_API_KEY",
    "mailersend": "MAILERSEND_API_TOKEN",
    "mailgun": "MAILGUN_API_KEY",
    "postmark": "POSTMARK_SERVER_TOKEN",
    "resend": "RESEND_API_KEY",
    "sendgrid": "SENDGRID_API_KEY",
}


def is_named(env: Environment) -> bool:
    """Whether `EMAIL_URL` names a provider, rightly or not."""
    return str(env.str("EMAIL_URL", default="")).strip().startswith(PREFIX)


def provider(env: Environment, *, timeout: int) -> tuple[str, dict[str, Any]] | None:
    """The backend and the settings of the provider that `EMAIL_URL` names; None for mail by SMTP or as files.

    The part before the `@` is the key, percent-encoded where it must be; what follows is the sender's domain, which
    Mailgun needs. `?api_url=` is another address of the provider: its European one, or a test's.
    """
    if not is_named(env):
        return None
    parts = urlsplit(env.str("EMAIL_URL").strip())
    name, options = parts.scheme.removeprefix(PREFIX), parse_qs(parts.query)
    key, _at, domain = parts.netloc.rpartition("@")
    env.check(
        find_spec("anymail"),
        "EMAIL_URL names a provider and django-anymail is not installed: uv sync --no-default-groups --extra mail",
    )
    if name not in KEYS or not key:
        env.check(False, f"EMAIL_URL: a provider is {PREFIX}NAME://KEY@, and NAME one of {', '.join(sorted(KEYS))}.")
        return None
    env.check(domain or name != "mailgun", "EMAIL_URL: Mailgun needs the sender's domain behind the @.")
    settings: dict[str, Any] = {KEYS[name]: unquote(key), "REQUESTS_TIMEOUT": timeout}
    if domain:
        settings["MAILGUN_SENDER_DOMAIN"] = domain
    if "api_url" in options:
        settings[f"{name.upper()}_API_URL"] = options["api_url"][0]
    return f"anymail.backends.{name}.EmailBackend", settings
