"""Promise of the tests themselves: none of them contacts anything outside this machine."""

from __future__ import annotations

import socket

import pytest

from retrieval.http.connection import Network

# Reserved for documentation (RFC 5737, RFC 3849): nobody is there.
OUTSIDE = [(socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_INET6, ("2001:db8::1", 9))]


@pytest.mark.parametrize(("family", "address"), OUTSIDE)
@pytest.mark.parametrize("way", [socket.socket.connect, socket.socket.connect_ex])
def test_a_connection_to_another_machine_fails_and_is_noted(
    family: int, address: tuple[str, int], way: object, contacts: list[str]
) -> None:
    assert callable(way)
    with socket.socket(family) as sock, pytest.raises(PermissionError, match="this machine"):
        way(sock, address)
    assert contacts == [str(address)]
    contacts.clear()


def test_what_is_tested_connects_by_the_way_that_is_guarded(contacts: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(PermissionError):
        Network().connect(sock, ("192.0.2.1", 9))
    contacts.clear()


def test_this_machine_may_be_contacted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
