"""Making, listing and revoking keys: `python -m api.security.commands make NAME`, `list`, `revoke NAME`.

It stands here and not in `deploy`, which may not import what reads the keys.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from filelock import Timeout

from api.security.keys import DEFAULT_PER_MINUTE, KeyFileError, keys_file, make_key, read_keys, revoke_key
from speech.home import Home, home


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m api.security.commands", description="Keys to the service.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make a key and show it once")
    make.add_argument("name")
    make.add_argument("--role", choices=("predict", "admin"), default="predict")
    make.add_argument("--rate", type=int, default=DEFAULT_PER_MINUTE, help="requests a minute")
    commands.add_parser("list", help="show all keys but never a key itself")
    commands.add_parser("revoke", help="take a key back").add_argument("name")
    options = parser.parse_args(arguments)
    target = home()
    try:
        if options.command == "make":
            token = make_key(target, options.name, options.role, options.rate)
            print("This is the key. It is shown this once, and only its hash is kept:", file=sys.stderr)
            print(token)
        elif options.command == "revoke":
            revoke_key(target, options.name)
            print(f"{options.name} is revoked, from the next request on")
        else:
            _list(target)
    except (KeyFileError, OSError, Timeout) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _list(target: Home) -> None:
    keys = read_keys(target)
    if not keys:
        print(f"no keys in {keys_file(target)}: everybody may predict, and only this machine may change anything")
        return
    rows = [("name", "role", "a minute", "created", "revoked")]
    rows += [(key.name, key.role, str(key.per_minute), key.created, key.revoked or "") for key in keys]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    raise SystemExit(main())
