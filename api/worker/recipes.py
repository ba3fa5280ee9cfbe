"""The recipes whose bundles are served. They differ in how a bundle is loaded and tried out, and in the remedy.

Imports torch, so workers alone import it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from api.intake.problems import Problem
from api.worker.loader import Bundle, Loader, Recipe, Serving
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.bundles.recogniser import LoadedRecogniser, load_recogniser_bundle
from speech.defects.diagnose import warm_up

_EVERYWHERE = ("0.0.0.0", "::")  # a server may listen there, nobody can ask there


def dagster_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where this machine reaches the Dagster that was started with this service. Behind the proxy that is HTTPS."""
    host, port = environment.get("VNYATNO_HOST") or "127.0.0.1", environment.get("VNYATNO_DAGSTER_PORT") or "3000"
    host = "localhost" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"{'https' if environment.get('VNYATNO_PROXY') == 'on' else 'http'}://{host}:{port}"


DEFECTS = Recipe[LoadedBundle](
    "defects",
    load_bundle,
    lambda bundle: warm_up(bundle.model),
    "no model is in service yet; train one: `make demo`, or launch the job `train_offline` in Dagster "
    f"({dagster_url()}), and it is taken up by itself",
)


def _listen(bundle: LoadedRecogniser) -> None:
    """Have a recogniser hear a second of noise. Raises FloatingPointError where it gives no finite values."""
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    bundle.recogniser.emissions([(0.1 * noise).astype(np.float32)])


ASR = Recipe[LoadedRecogniser](
    "asr",
    load_recogniser_bundle,
    _listen,
    "no recogniser is in service yet; train one: `make demo RECIPE=asr`, or launch the job `asr_offline` in Dagster "
    f"({dagster_url()}), and it is taken up by itself",
)


def in_service(loader: Loader[Bundle]) -> Serving[Bundle]:
    """The bundle of a recipe that is in service. Raises `Problem` 503 where there is none."""
    state = loader.state
    if state.serving is not None:
        return state.serving
    detail = loader.recipe.remedy
    if state.refused:
        detail += f"; {state.refused.bundle or 'the pointer'} was refused: {state.refused.reason}"
    raise Problem(503, "no_model", detail, {"Retry-After": "10"})
