"""How certificates of erasure call what this app holds (`accounts.erasure.certificate_words`)."""

from django.utils.translation import gettext_lazy as _

from accounts.erasure.certificate_words import Group

GROUPS = (
    Group(
        "marketplaces",
        _("Purchases at marketplaces"),
        70,
        (
            "marketplace.GitHubCustomer",
            "marketplace.RepositoryHook",
            "marketplace.UserToken",
            "marketplace.AwsAgreement",
            "marketplace.Registration",
            "marketplace.Offboarding",
            "marketplace.OffboardingStep",
            "marketplace.Tombstone",
        ),
        {
            "marketplace.GitHubCustomer": _("purchases at GitHub"),
            "marketplace.RepositoryHook": _("hooks in repositories"),
            "marketplace.Offboarding": _("that the marketplace’s duties were met"),
            "marketplace.Tombstone": _("purchases that the marketplace goes on with"),
        },
    ),
)
