"""What goes wrong on the way from a recording to its answer, as problems."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from api.intake.problems import AUDIO_STATUS, Problem
from api.worker.model_queue import QueueFull
from speech.audio.decode import AudioError
from speech.hardware.card_faults import is_memory
from speech.hardware.devices import release_memory
from speech.process.child import ChildNotStarted

log = logging.getLogger("vnyatno.service")


@contextmanager
def as_problems(bundle: str, field: str | None = None) -> Iterator[None]:
    """Raise `Problem` for what a recording provokes in the block.

    `bundle` is the id of the bundle that answers. `field` is where the recording was sent, if that is to be named.
    """
    try:
        yield
    except AudioError as error:
        raise Problem(AUDIO_STATUS.get(error.code, 422), error.code, str(error), field=field) from error
    except QueueFull as error:
        headers = {"Retry-After": str(error.retry_after)}
        raise Problem(503, "busy", "too many recordings wait already; try again soon", headers) from error
    except ChildNotStarted as error:
        log.error("a recording was not decoded: %s", error)
        detail = "the service cannot start what decodes recordings; its log says why"
        raise Problem(503, "no_decoder", detail, {"Retry-After": "5"}) from error
    except FloatingPointError as error:
        log.error("%s gave no finite figures for a recording", bundle)
        detail = "the model finds no finite answer for this recording"
        raise Problem(422, "not_assessable", detail, field=field) from error
    except TimeoutError as error:
        detail = "the service is too busy to answer in time; try again soon"
        raise Problem(503, "timeout", detail, {"Retry-After": "5"}) from error
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        log.error("%s had no memory left for a recording: %s", bundle, error)
        release_memory()
        detail = "the service has no memory left for this recording now; try again soon, or send a shorter one"
        raise Problem(503, "no_memory", detail, {"Retry-After": "5"}) from error
