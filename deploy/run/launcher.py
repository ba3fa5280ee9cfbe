"""Starts and stops everything: `python -m deploy.run.launcher up` or `python -m deploy.run.launcher serve [BUNDLE]`.

`up` starts Dagster, the service and the web application, with `VNYATNO_PROXY=on` a proxy before them; `serve` the
service alone, with an exported bundle's file, with the id of a bundle in the data folder, or with what was published
last. A part that dies is started again; this ends when told to, or with an error when the same part keeps dying
(`deploy.run.restarts`). In a container of Vertex AI (AIP_HTTP_PORT is set) it is always the service alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.addresses import AddressError, Addresses, read_addresses
from deploy.front.prepare import Prepared, prepare
from deploy.front.settings import FrontError
from deploy.run.claim import StackError, require_writable
from deploy.run.greeting import places
from deploy.run.parts import ROOT, Part, dagster_parts, proxy_part, service_part, web_part
from deploy.run.restarts import Restarts
from deploy.run.stack import Stack
from deploy.vertex.vertex_container import read_container
from speech.home import Home, home


def everything(addresses: Addresses, prepared: Prepared | None) -> Callable[[Path], list[Part]]:
    """The parts of `up`, given the code server's socket."""
    proxy = [proxy_part(addresses, prepared.command)] if prepared else []
    return lambda code_socket: [
        *dagster_parts(addresses, code_socket),
        service_part(addresses),
        web_part(addresses),
        *proxy,
    ]


def prepared_front(target: Home, addresses: Addresses) -> Prepared | None:
    """The proxy made ready in the data folder, where one is wanted; a password that was made is printed.

    Raises `StackError` or `FrontError`.
    """
    if addresses.front is None:
        return None
    require_writable(target)
    prepared = prepare(target, addresses)
    if prepared and prepared.login and prepared.login.new:  # at once: the start may fail, and it is not told again
        print(f"Dagster: user {prepared.login.user}, {prepared.login.told}", flush=True)
    return prepared


def service_alone(addresses: Addresses) -> Callable[[Path], list[Part]]:
    """The part of `serve`."""
    return lambda _: [service_part(addresses)]


def raise_on_signals() -> None:
    """Let SIGTERM and a closed terminal end this process as Ctrl-C does: by `KeyboardInterrupt`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def publish(bundle: str, target: Home) -> None:
    """Put a bundle into service, in a process of its own: reading one loads torch, which need not stay in memory.

    Raises `StackError`; the process has then said why.
    """
    require_writable(target)
    environment = {**os.environ, "VNYATNO_HOME": str(target.root)}
    # An absolute path: the child runs in the project's folder, not in the one where the name was typed.
    name = str(Path(bundle).resolve()) if Path(bundle).is_file() else bundle
    command = [sys.executable, "-m", "deploy.commands.publication", name]
    if subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL).returncode != 0:
        raise StackError(f"{bundle} was not put into service; nothing was started")


def main(arguments: Sequence[str] | None = None, restarts: Restarts | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.run.launcher", description="Start Vnyatno.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="Dagster, the service and the web application")
    serve = commands.add_parser("serve", help="the service alone")
    serve.add_argument(
        "bundle", nargs="?", help="an exported bundle's file, a bundle's folder or gs:// address, or its id"
    )
    options = parser.parse_args(arguments)
    raise_on_signals()
    try:
        container = read_container(os.environ)
        environment = container.environment(os.environ) if container else dict(os.environ)
        whole = options.command == "up" and container is None
        addresses = read_addresses(environment, front=whole)
        bundle = getattr(options, "bundle", None) or (container.storage_uri if container else None)
        if bundle:
            publish(bundle, home())
        prepared = prepared_front(home(), addresses)
        parts = everything(addresses, prepared) if whole else service_alone(addresses)
        with Stack(home(), addresses, parts, inherited=environment, restarts=restarts) as stack:
            lines = places(addresses, prepared)
            _greet(lines if whole else lines[-1:])
            stack.watch()
    except (AddressError, FrontError, StackError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("stopped", flush=True)
    return 0


def _greet(lines: Sequence[str]) -> None:
    print("\nready; Ctrl-C ends everything\n" + "".join(f"  {line}\n" for line in lines), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
