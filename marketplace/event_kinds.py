"""What a marketplace can do to an account: the kinds of these events, and their words.

Append-only like the history itself: a value that has been written is never given another meaning.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class MarketplaceEvent(models.TextChoices):
    OFFBOARDING_BEGUN = "offboarding.begun", _("The marketplace says that the customer has left")
    OFFBOARDING_CALLED_OFF = "offboarding.called_off", _("The customer is back: nothing is deleted")
    OFFBOARDING_CONFIRM = "offboarding.confirm", _("Departure confirmed with the marketplace")
    OFFBOARDING_HOOKS = "offboarding.hooks", _("Repository hooks deleted")
    OFFBOARDING_TOKENS = "offboarding.tokens", _("Tokens revoked")
    OFFBOARDING_PURGE = "offboarding.purge", _("All data erased")
    TOMBSTONE_DEALT_WITH = "tombstone.dealt_with", _("The marketplace was asked to end an erased purchase")
    GITHUB_LEFT = "github.left", _("Gone from GitHub Marketplace; another subscription holds the account")
    GITHUB_LINKED = "github.linked", _("Member linked through GitHub")
    AWS_REGISTERED = "aws.registered", _("Purchase at AWS Marketplace linked")
    AWS_LEAVING = "aws.leaving", _("Cancelled at AWS: it ends when AWS says so")
    AWS_STAYS = "aws.stays", _("Subscribed at AWS again before the end")
    AWS_RENEWED = "aws.renewed", _("Renewed or replaced at AWS: it goes on")
    AWS_RENEWAL_OFF = "aws.renewal_off", _("Renewal at AWS switched off")
    AWS_RENEWAL_ON = "aws.renewal_on", _("Renewal at AWS switched on")
    AWS_NOTED = "aws.noted", _("Notification of AWS Marketplace")
