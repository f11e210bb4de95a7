"""Whose browser it is that asks: the network address that limits count by.

Behind a proxy every request comes from the proxy, and it says in `X-Forwarded-For` for whom; whatever else stands
there was written by the client. So as many entries as there are proxies of ours are believed, from the right
(`TRUSTED_PROXIES`), and none where there is no proxy.
"""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

#: A provider gives a household, or a rented server, this much.
IPV6_PREFIX = 64
#: Whoever has no address, such as a proxy that comes through a socket in the file system and says nothing.
NOWHERE = "0.0.0.0"  # noqa: S104  # an address to count by, nothing listens there


def client_address(request: HttpRequest) -> str:
    """The client's IP address, in its usual spelling; that of who connects where the proxies did not say it."""
    forwarded = [entry.strip() for entry in request.headers.get("X-Forwarded-For", "").split(",")]
    proxies: int = settings.TRUSTED_PROXIES
    told = forwarded[-proxies] if 0 < proxies <= len(forwarded) else ""
    return _canonical(told) or _canonical(request.META.get("REMOTE_ADDR", "")) or NOWHERE


def network_of(address: str) -> str:
    """What one client is counted as: an IPv4 address, or the /64 in which an IPv6 client picks its addresses."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False).network_address)


def _canonical(text: str) -> str:
    """An address without port and brackets, IPv4 as IPv4; empty for anything else."""
    host = text.partition("]")[0].lstrip("[") if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)
