"""Why AWS's doors refuse a message: counted in `accounts.inbox.refused_messages`, and told to the sender."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AwsRefusal(models.TextChoices):
    TOO_LARGE = "too_large", _("larger than any message of theirs")
    RAW = "raw", _("raw delivery, which is not signed")
    MALFORMED = "malformed", _("not a message of theirs")
    HEADERS = "headers", _("header and body disagree")
    TOPIC = "topic", _("a topic that is not ours")
    VERSION = "version", _("an unknown signature version")
    CERTIFICATE_ADDRESS = "certificate_address", _("a certificate from elsewhere")
    CERTIFICATE = "certificate", _("a certificate that is not to be trusted")
    SIGNATURE = "signature", _("a signature that does not match")
    TIMESTAMP = "timestamp", _("too old, or from the future")
    TOKEN = "token", _("without our token")
    SENDER = "sender", _("an event of another service")
    SELLER = "seller", _("an event of another seller")
    PRODUCT = "product", _("an event of a product that is not ours")
