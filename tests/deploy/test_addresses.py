from __future__ import annotations

import os
import socket

import pytest

from deploy.addresses import Address, AddressError, Addresses, read_addresses, require_free


def test_defaults() -> None:
    addresses = read_addresses({})
    assert addresses.dagster.url == "http://127.0.0.1:3000"
    assert addresses.service.url == "http://127.0.0.1:8000"
    assert addresses.web.url == "http://127.0.0.1:8501"
    assert addresses.front is None


def test_variables_move_the_servers() -> None:
    addresses = read_addresses(
        {"VNYATNO_HOST": "0.0.0.0", "VNYATNO_DAGSTER_PORT": "3100", "VNYATNO_SERVICE_PORT": "8100"}
    )
    assert (addresses.dagster.host, addresses.dagster.port) == ("0.0.0.0", 3100)
    assert addresses.service.url == "http://127.0.0.1:8100"  # one that can be connected to


def test_the_proxy_takes_dagsters_port_and_dagster_hides_behind_it() -> None:
    addresses = read_addresses({"VNYATNO_HOST": "0.0.0.0", "VNYATNO_PROXY": "on", "VNYATNO_DAGSTER_PORT": "3100"})
    assert addresses.front is not None
    assert (addresses.front.dagster.host, addresses.front.dagster.port) == ("0.0.0.0", 3100)
    assert (addresses.dagster.host, addresses.dagster.port) == ("127.0.0.1", 3001)
    assert (addresses.front.http.port, addresses.front.https.port) == (80, 443)


def test_the_service_alone_has_no_proxy_and_may_take_its_ports() -> None:
    environment = {"VNYATNO_PROXY": "on", "VNYATNO_SERVICE_PORT": "80"}
    assert read_addresses(environment, front=False).front is None
    with pytest.raises(AddressError, match="VNYATNO_HTTP_PORT"):
        read_addresses(environment)


def test_the_web_application_may_listen_elsewhere() -> None:
    addresses = read_addresses({"VNYATNO_HOST": "127.0.0.1", "VNYATNO_WEB_HOST": "0.0.0.0", "VNYATNO_WEB_PORT": "8600"})
    assert (addresses.web.host, addresses.web.port, addresses.service.host) == ("0.0.0.0", 8600, "127.0.0.1")


def test_a_proxy_is_on_or_off() -> None:
    with pytest.raises(AddressError, match="VNYATNO_PROXY='yes'"):
        read_addresses({"VNYATNO_PROXY": "yes"})


def test_ipv6_addresses_stand_in_brackets() -> None:
    assert read_addresses({"VNYATNO_HOST": "::"}).dagster.url == "http://[::1]:3000"


@pytest.mark.parametrize("text", ["x", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match="VNYATNO_SERVICE_PORT") as refused:
        read_addresses({"VNYATNO_SERVICE_PORT": text})
    assert "65535" in str(refused.value)


def test_one_port_for_both_is_refused() -> None:
    with pytest.raises(AddressError, match="both given port 8000"):
        read_addresses({"VNYATNO_DAGSTER_PORT": "8000"})
    with pytest.raises(AddressError, match="VNYATNO_SERVICE_PORT or VNYATNO_WEB_PORT"):
        read_addresses({"VNYATNO_WEB_PORT": "8000"})


def test_a_port_in_use_is_named_with_its_holder_and_the_variable(addresses: Addresses) -> None:
    with socket.create_server(("127.0.0.1", addresses.service.port)), pytest.raises(AddressError) as refused:
        require_free([addresses.dagster, addresses.service])
    message = str(refused.value)
    assert f"port {addresses.service.port}" in message
    assert f"process {os.getpid()}" in message
    assert "VNYATNO_SERVICE_PORT" in message


def test_a_port_taken_on_every_interface_is_in_use(addresses: Addresses) -> None:
    with socket.create_server(("0.0.0.0", addresses.dagster.port)), pytest.raises(AddressError, match="in use"):
        require_free([addresses.dagster])


def test_a_port_whose_connections_just_ended_is_free(addresses: Addresses) -> None:
    with socket.create_server(("127.0.0.1", addresses.dagster.port)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        accepted.close()  # this side waits in TIME_WAIT afterwards
        client.close()
    require_free([addresses.dagster])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AddressError, match="VNYATNO_HOST"):
        require_free([Address("Dagster", "VNYATNO_DAGSTER_PORT", "192.0.2.1", 3000)])
