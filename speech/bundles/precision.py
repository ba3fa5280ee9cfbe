"""Which precision a bundle serves in: measured once on a machine, and kept."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from speech.audio.decode import SAMPLE_RATE
from speech.bundles.defects import LoadedBundle
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel
from speech.defects.precision import device_of, in_precision, offered
from speech.encoders.precision import Precision
from speech.files import write_json
from speech.hardware.devices import Hardware, read_hardware
from speech.home import Home

log = logging.getLogger(__name__)

_PROBE_SECONDS = 4.0
_PROBES = 3


class Precisions:
    """Puts bundles into the fastest precision of those that they may serve in.

    How fast each is depends on the encoder's shape, the processor and the threads; it is measured when such an encoder
    is first loaded, and kept below `home` for every load after that.
    """

    def __init__(self, home: Home, cores: int) -> None:
        """`cores`: on how many one recording is computed."""
        self._file = home.serving / "precisions.json"
        self._cores = cores

    def apply(self, bundle: LoadedBundle) -> LoadedBundle:
        """The bundle, computing in its fastest precision where it is."""
        allowed = permitted(bundle)
        if allowed == (Precision.fp32,):
            return bundle
        key = _key(bundle, self._cores)
        seconds = self._known(key)
        if set(seconds) != set(allowed):
            torch.set_num_threads(self._cores)  # of this thread, which others may have left with fewer
            model, seconds = _measured(bundle, allowed)
            self._keep(key, seconds)
        else:
            model = in_precision(bundle.model, fastest(seconds))
        return replace(bundle, model=model, precision=fastest(seconds), measured=seconds)

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            known: dict[str, dict[str, float]] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s cannot be used, precisions are measured anew: %s", self._file, error)
            return {}
        return known if isinstance(known, dict) else {}

    def _known(self, key: str) -> dict[Precision, float]:
        try:
            return {Precision(name): float(value) for name, value in self._read().get(key, {}).items()}
        except (AttributeError, TypeError, ValueError) as error:
            log.warning("%s cannot be used, precisions are measured anew: %s", self._file, error)
            return {}

    def _keep(self, key: str, seconds: Mapping[Precision, float]) -> None:
        try:
            write_json(self._file, self._read() | {key: {name.value: value for name, value in seconds.items()}})
        except OSError as error:
            log.warning("%s cannot be written, precisions will be measured again: %s", self._file, error)


def permitted(bundle: LoadedBundle, read: Callable[[], Hardware] = read_hardware) -> tuple[Precision, ...]:
    """fp32, and what the bundle's test clips allow beside it and this machine can compute; on a card the first of
    these alone, since sixteen bits are equally fast there."""
    others = []
    for precision in offered(bundle.model, read):
        agreement = bundle.config.agreement(precision)
        if agreement is not None and agreement.holds:
            others.append(precision)
    return (Precision.fp32, *(others if device_of(bundle.model) == "cpu" else others[:1]))


def _measured(bundle: LoadedBundle, allowed: tuple[Precision, ...]) -> tuple[DefectModel, dict[Precision, float]]:
    """The fastest model, and the seconds of each that computes; no more than two are in memory at once."""
    best, seconds = bundle.model, {Precision.fp32: probe(bundle.model)}
    for precision in allowed[1:]:
        model = in_precision(bundle.model, precision)
        try:
            seconds[precision] = probe(model)
        except FloatingPointError:
            log.warning("%s: %s gives values here that are not finite, so it does not serve", bundle.id, precision)
            continue
        if fastest(seconds) is precision:
            best = model
    log.info(
        "%s: seconds for a second of sound: %s", bundle.id, ", ".join(f"{name} {x:.4f}" for name, x in seconds.items())
    )
    return best, seconds


def _key(bundle: LoadedBundle, cores: int) -> str:
    """What decides how fast precisions are: the encoder's shape, torch, and the card, or the processor and how many
    cores of it."""
    encoder = json.dumps(bundle.config.model.encoder, sort_keys=True)
    machine: tuple[object, ...] = (_processor(), torch.backends.cpu.get_cpu_capability(), torch.__version__, cores)
    if device_of(bundle.model) != "cpu":
        machine = (read_hardware().cards[0].name, torch.__version__)
    return hashlib.sha256(repr((encoder, *machine)).encode()).hexdigest()[:16]


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.machine())


def fastest(seconds: Mapping[Precision, float]) -> Precision:
    """The precision of fewest seconds."""
    return min(seconds, key=lambda precision: seconds[precision])


def probe(model: DefectModel) -> float:
    """Seconds that the model takes for a second of sound: the quickest of a few tries."""
    sound = 0.1 * np.random.default_rng(0).standard_normal(int(_PROBE_SECONDS * SAMPLE_RATE)).astype(np.float32)
    diagnose(model, [sound])
    tries = []
    for _ in range(_PROBES):
        began = time.perf_counter()
        diagnose(model, [sound])
        tries.append(time.perf_counter() - began)
    return min(tries) / _PROBE_SECONDS
