"""What both peers share: the bundle's model in fp32 as transformers runs it, and the decoder that ours uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from speech.audio.decode import decode
from speech.bundles.defects import load_bundle
from speech.defects.diagnose import diagnose

BUNDLE, THREADS = "PEER_BUNDLE", "PEER_THREADS"


class Diagnosis:
    """The model of the bundle that the environment names, on so many threads."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ[THREADS]))
        self._bundle = load_bundle(Path(os.environ[BUNDLE]))

    def of(self, recording: bytes) -> dict[str, Any]:
        """As the service's answer: `predict_proba` and `classes`."""
        (answer,) = diagnose(self._bundle.model, [decode(recording).samples], self._bundle.calibration)
        return {"predict_proba": list(answer.probabilities), "classes": list(answer.classes)}
