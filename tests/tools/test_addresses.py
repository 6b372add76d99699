"""Promise: an address is public only if it is known to be, and no declaration opens a metadata service."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.tools.addresses import Reach, reach_of


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_global_unicast_is_public(text: str) -> None:
    assert reach_of(text) is Reach.PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::ffff:a00:1",
        "64:ff9b::10.0.0.1",
    ],
)
def test_the_own_network_and_machine_are_private_in_every_form(text: str) -> None:
    assert reach_of(text) is Reach.PRIVATE


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "169.254.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "0.0.0.0",  # noqa: S104  # an address to refuse
        "::",
        "255.255.255.255",
        "224.0.0.1",
        "239.255.255.250",
        "ff02::1",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "192.88.99.1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001::1",
        "64:ff9b:1::1",
        "::127.0.0.1",
        "100::1",
        "3fff::1",
        "2606:4700::1111%eth0",
        "",
        "127.1",
        "localhost",
        "2130706433",
        "0177.0.0.1",
    ],
)
def test_what_no_tool_has_business_with_is_never_reachable(text: str) -> None:
    assert reach_of(text) is Reach.NEVER


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_inside_of_another_form(address: IPv4Address) -> None:
    mapped = IPv6Address(int(IPv6Address("::ffff:0:0")) | int(address))
    translated = IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))
    assert reach_of(str(mapped)) is reach_of(str(translated)) is reach_of(str(address))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_special(address: IPv4Address | IPv6Address) -> None:
    if reach_of(str(address)) is Reach.PUBLIC:
        inner = getattr(address, "ipv4_mapped", None) or address
        assert inner.is_global
        assert not (inner.is_multicast)
        assert not (inner.is_loopback)
        assert not (inner.is_link_local)
        assert not (inner.is_unspecified)
