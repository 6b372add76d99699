"""Says of an IP address whether a tool may be connected to it. Pure.

Rules:
- `public`: global unicast that IANA has handed out. Everything that is not known to be public is refused.
- `private`: the own network (RFC 1918, 4193, 6598) and this machine; for hosts that a tool declared so.
- `never`: link-local, multicast, reserved, and the addresses at which clouds hand out credentials. No
  declaration opens these: no agent has business there.
- An IPv4 address inside of an IPv6 one (RFC 4291 mapped, RFC 6052 NAT64) counts as itself; other tunnels
  (6to4, Teredo) are `never`.
"""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address


class Reach(StrEnum):
    """Who can be behind an address."""

    PUBLIC = "public"
    PRIVATE = "private"
    NEVER = "never"


_METADATA = frozenset(
    ip_address(address)
    for address in (
        "168.63.129.16",  # Azure's wire server: a public address
        "100.100.100.200",  # Alibaba Cloud: in the shared range
        "192.0.0.192",  # Oracle Cloud's older service
        "fd00:ec2::254",  # AWS: unique-local
        "fd20:ce::254",  # Google Cloud: unique-local
    )
)  # 169.254.169.254 and the rest of its range are link-local

_PRIVATE_4 = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10"))
)
_PRIVATE_6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))

# What `is_global` of the oldest Python that we support still takes for public.
_SPECIAL_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4")))
_SPECIAL_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

_GLOBAL_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def reach_of(text: str) -> Reach:
    """Return who can be behind an address.

    Args:
        text: an IPv4 or IPv6 address as a resolver gives it; a zone (`%eth0`) may follow.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return Reach.NEVER
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        return _reach_6(address) if inner is None else _reach_4(inner)
    return _reach_4(address)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def _reach_4(address: IPv4Address) -> Reach:
    if address in _METADATA:
        return Reach.NEVER
    if any(address in network for network in _PRIVATE_4):
        return Reach.PRIVATE
    special = address.is_multicast or any(address in network for network in _SPECIAL_4)
    return Reach.PUBLIC if address.is_global and not special else Reach.NEVER


def _reach_6(address: IPv6Address) -> Reach:
    if address.scope_id or address in _METADATA:
        return Reach.NEVER
    if any(address in network for network in _PRIVATE_6):
        return Reach.PRIVATE
    special = any(address in network for network in _SPECIAL_6)
    return Reach.PUBLIC if address in _GLOBAL_6 and not special else Reach.NEVER
