"""What an app that can hold the money of a subscription adds: a part of its `EXTENSION`."""

from dataclasses import dataclass

from subscriptions.billing import finding, provider
from subscriptions.billing.finding import FindingKind
from subscriptions.billing.provider import Provider


@dataclass(frozen=True)
class BillingExtension:
    """What it leaves out it does not have."""

    #: Who can hold the money of a subscription.
    providers: tuple[Provider, ...] = ()
    #: What it may find that no rule decides, in words.
    findings: tuple[FindingKind, ...] = ()

    def install(self) -> None:
        """Add everything to its registry. Once a process; raises `AlreadyRegistered` for a name that is taken."""
        provider.REGISTRY.add(*self.providers)
        finding.KINDS.add(*self.findings)
