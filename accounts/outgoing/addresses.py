"""Where an outgoing call may lead: addresses that people typed must not open what only this machine can reach.

Checked is the number that is connected to, never the name: a name may mean another machine the next time it is asked
for. Networks of the operator's own are opened by `OUTGOING_ALLOWED_NETWORKS`, and by nothing else.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Ranges that `is_global` lets pass, on some Python or other, and that can all the same lead inside.
REFUSED: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "64:ff9b::/96",  # NAT64: an IPv4 address, any, in the last 32 bits (RFC 6052)
        "64:ff9b:1::/48",  # the same, for local use (RFC 8215)
        "2002::/16",  # 6to4: an IPv4 address after the prefix (RFC 3056)
        "2001::/32",  # Teredo: likewise (RFC 4380)
        "::/96",  # IPv4-compatible addresses (RFC 4291, 2.5.5.1)
        "::ffff:0:0:0/96",  # IPv4-translated ones (RFC 2765)
        "fec0::/10",  # site-local (RFC 3879)
        "100::/64",  # discarded (RFC 6666)
        "5f00::/16",  # segment routing (RFC 9602)
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "168.63.129.16/32",  # a public number that inside Azure is the machine's own host
    )
)


def networks(written: Sequence[str]) -> tuple[Network, ...]:
    """What a setting lists. Raises `ValueError`, which names the one that is none."""
    return tuple(ip_network(one) for one in written)


def read(number: str) -> Address:
    """An address as the resolver writes it; an IPv4 address in the dress of an IPv6 one is taken for what it is."""
    # A zone (`fe80::1%eth0`) is of no matter to what network it is in.
    found = ip_address(number.partition("%")[0])
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def is_within(address: Address, opened: Sequence[Network]) -> bool:
    return any(address in network for network in opened if network.version == address.version)


def is_public(address: Address) -> bool:
    """Whether everybody can reach it, so that calling it opens nothing."""
    return address.is_global and not address.is_multicast and not is_within(address, REFUSED)
