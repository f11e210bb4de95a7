"""What an account loses with its paid plan, in its own numbers (facts/cancelling, 2: the four losses)."""

from dataclasses import asdict, dataclass

from accounts.models import Account


@dataclass(frozen=True)
class Losses:
    """How many blueprints become read-only, and how many connections stop updating."""

    infinite_blueprints: int
    aws_connections: int
    azure_connections: int

    def as_facts(self) -> dict[str, int]:
        return asdict(self)


def of(account: Account) -> Losses:
    """Counted now; two statements, however much the account holds."""
    connections = account.connections.counts()
    return Losses(
        infinite_blueprints=account.blueprints.infinite().count(),
        aws_connections=connections["aws"],
        azure_connections=connections["azure"],
    )
