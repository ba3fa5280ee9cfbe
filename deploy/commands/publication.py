"""Puts a bundle into service: `python -m deploy.commands.publication BUNDLE`, an exported bundle's file, the folder of
a bundle's files (a path or gs://bucket/prefix), or a bundle's id."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.vertex.bucket import fetched, is_uri
from speech.bundles.defects import BundleError
from speech.bundles.gate import GateRefused
from speech.bundles.transfer import import_bundle
from speech.home import Home, home
from speech.serving.pointer import PointerError, publish


def put_into_service(bundle: str, target: Home) -> str:
    """Import `bundle` unless it is an id, publish it, and return its id.

    Raises `BundleError`, `GateRefused` or `PointerError`.
    """
    file = Path(bundle)
    if is_uri(bundle):
        target.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.root, prefix=".fetched.") as temporary:
            bundle_id = import_bundle(fetched(bundle, Path(temporary)), target)
    elif file.is_file() or (file.is_absolute() and file.is_dir()):
        bundle_id = import_bundle(file, target)
    elif file.name != bundle or file.suffix == ".zip":
        raise BundleError(f"there is no file {bundle}")
    else:
        bundle_id = bundle
    publish(target, bundle_id, by="command line")
    return bundle_id


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.commands.publication", description="Put a bundle into service."
    )
    parser.add_argument("bundle", help="an exported bundle's file, a bundle's folder or gs:// address, or its id")
    options = parser.parse_args(arguments)
    try:
        print(f"in service: {put_into_service(options.bundle, home())}", flush=True)
    except (BundleError, GateRefused, PointerError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
