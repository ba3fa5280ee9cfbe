"""Puts the bundle that served before into service again: `python -m deploy.commands.rollback [--recipe defects|asr]`.

Once more returns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from speech.bundles.defects import BundleError
from speech.bundles.gate import GateRefused
from speech.home import Recipe, home
from speech.serving.pointer import PointerError, rollback


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Put the bundle that served before into service again; once more returns."
    parser = argparse.ArgumentParser(prog="python -m deploy.commands.rollback", description=description)
    parser.add_argument("--recipe", choices=[*Recipe], default=Recipe.defects, help="whose bundle (default: defects)")
    options = parser.parse_args(arguments)
    try:
        pointer = rollback(home(), options.recipe, by="command line")
    except (PointerError, BundleError, GateRefused, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    print(f"in service: {pointer.current} (before: {pointer.previous})", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
