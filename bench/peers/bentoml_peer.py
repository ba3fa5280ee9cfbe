"""A plain BentoML service, as its documentation writes one.

PEER_BUNDLE=var/bundles/<id> PEER_THREADS=2 bentoml serve bench.peers.bentoml_peer:Peer
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml


@bentoml.service(traffic={"timeout": 300})
class Peer:
    """One worker, one model."""

    def __init__(self) -> None:
        from bench.peers.diagnosis import Diagnosis

        self._model = Diagnosis()

    @bentoml.api
    def predict(self, file: Path) -> dict[str, Any]:
        return self._model.of(file.read_bytes())
