"""What an app that sells through a channel of its own adds to subscriptions: a part of its `EXTENSION`."""

from dataclasses import dataclass

from subscriptions.billing import in_the_way
from subscriptions.billing.in_the_way import HolderElsewhere
from subscriptions.channels import returning, settings_notes
from subscriptions.channels.returning import CallOff
from subscriptions.channels.settings_notes import NotesOfChannel
from subscriptions.desk import figures
from subscriptions.desk.figures import DeparturesOfChannel
from subscriptions.refunds import payments
from subscriptions.refunds.payments import Payments


@dataclass(frozen=True)
class ChannelExtension:
    """What it leaves out it does not have."""

    #: What it has to say on Subscription Settings.
    settings_notes: tuple[NotesOfChannel, ...] = ()
    #: How its customers say that they leave, for the desk's figures.
    departures: tuple[DeparturesOfChannel, ...] = ()
    #: How what began when a customer left is called off when they come back.
    returning: tuple[CallOff, ...] = ()
    #: What holds an account beside its subscriptions, so that nothing is sold to it here.
    holders: tuple[HolderElsewhere, ...] = ()
    #: How refunds are paid; one app alone.
    payments: Payments | None = None

    def install(self) -> None:
        """Add everything to its registry. Once a process; raises `AlreadyRegistered` for a name that is taken."""
        settings_notes.REGISTRY.add(*self.settings_notes)
        figures.DEPARTURES.add(*self.departures)
        returning.DEPARTURES.add(*self.returning)
        in_the_way.HOLDERS.add(*self.holders)
        if self.payments is not None:
            payments.REGISTRY.add(self.payments)
