"""Whether what the launcher started is alive: `python -m deploy.run.health` ends with 0 or 1 (HEALTHCHECK)."""

from __future__ import annotations

import json
import sys

from deploy.run.data_folder import state_file
from deploy.run.parts import answers
from speech.home import Home, home


def silent_servers(target: Home) -> list[str]:
    """Names of servers that do not answer, and of other parts that are not ready.

    `launcher` if none runs on this data folder.
    """
    try:
        state = json.loads(state_file(target).read_text(encoding="utf-8"))
        urls, down = state["health"], state["down"]
    except (OSError, ValueError, KeyError, TypeError):
        return ["launcher"]
    return [name for name, url in urls.items() if not answers(url)] + [name for name in down if name not in urls]


def main() -> int:
    silent = silent_servers(home())
    if silent:
        print(f"no answer from: {', '.join(silent)}", file=sys.stderr)
    return 1 if silent else 0


if __name__ == "__main__":
    raise SystemExit(main())
