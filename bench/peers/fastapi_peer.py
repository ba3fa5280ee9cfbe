"""FastAPI and transformers: inference mode, decoding and model off the event loop, one recording at a time on all
cores, since two at once only share them.

    PEER_BUNDLE=var/bundles/<id> PEER_THREADS=2 uvicorn bench.peers.fastapi_peer:app
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI, UploadFile

from bench.peers.diagnosis import Diagnosis

app = FastAPI()
model = Diagnosis()
pool = ThreadPoolExecutor(1)


@app.get("/ready")
def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, Any]:
    recording = await file.read()
    return await asyncio.get_running_loop().run_in_executor(pool, model.of, recording)
