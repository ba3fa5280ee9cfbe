"""Whether a call is made on the event loop, where it keeps all other requests waiting."""

from __future__ import annotations

import asyncio


def on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
