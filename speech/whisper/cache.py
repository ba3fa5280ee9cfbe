"""Transcripts of many clips, each cached in a file of its own, so that a killed run goes on where it stopped.

<cache>/<digest of weights and options>/about.json
<cache>/<digest of weights and options>/<first two characters>/<clip>.json
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from speech.files import digest_of, read_json, write_json
from speech.whisper.backend import Transcriber, WhisperOptions
from speech.whisper.loading import load_transcriber, settled
from speech.whisper.speech_only import transcribe_speech
from speech.whisper.transcript import WhisperTranscript
from speech.whisper.weights import identity, resolve

Load = Callable[[], np.ndarray]
Progress = Callable[[int, int, float], None]

_HEARD = "speech alone"  # of a clip; named anew where Whisper is given something else
_log = logging.getLogger(__name__)


def _silent(done: int, total: int, seconds_left: float) -> None:
    """Progress that nobody watches."""


def transcribe_clips(
    clips: Iterable[tuple[str, Load]],
    options: WhisperOptions,
    cache: Path,
    progress: Progress = _silent,
    load: Callable[[WhisperOptions], Transcriber] = load_transcriber,
) -> dict[str, WhisperTranscript]:
    """Transcribe each clip not in `cache` yet; clip hash to transcript, in the order given.

    Args:
        clips: content hash and a function that gives mono float32 samples (n,) at 16 kHz; called only where needed.
        options: back end, model and how to decode; with the model's weights they are the key of the cache.
        cache: folder of transcripts; made where it is not there.
        progress: told the number of clips done, of all, and the seconds left, after each clip that is transcribed, or
            once where all were cached.
        load: gives the transcriber; called only where something is missing.

    Raises `TranscriberError` from loading. What was transcribed before an error or a kill stays in the cache.
    """
    wanted = dict(clips)
    key = _key(options)
    folder = _folder(key, cache)
    found = {clip: transcript for clip in wanted if (transcript := _read(_entry(folder, clip), clip)) is not None}
    missing = [clip for clip in wanted if clip not in found]
    if not missing:
        progress(len(wanted), len(wanted), 0.0)
        return {clip: found[clip] for clip in wanted}
    transcriber = load(options)
    if transcriber.device != key["device"]:  # the card failed; what the processor gives is kept as the processor's
        there = replace(options, device=transcriber.device)
        return transcribe_clips(wanted.items(), there, cache, progress, lambda _: transcriber)
    write_json(folder / "about.json", key)
    began = time.monotonic()
    for number, clip in enumerate(missing, start=1):
        transcript = transcribe_speech(transcriber, wanted[clip]())
        write_json(_entry(folder, clip), {"clip": clip, "transcript": transcript.as_dict()})
        found[clip] = transcript
        left = (time.monotonic() - began) / number * (len(missing) - number)
        progress(len(found), len(wanted), left)
    return {clip: found[clip] for clip in wanted}


def cache_folder(options: WhisperOptions, cache: Path) -> Path:
    """Where `transcribe_clips` keeps the transcripts made with these options and the weights they name now."""
    return _folder(_key(options), cache)


def _folder(key: dict[str, Any], cache: Path) -> Path:
    return cache / digest_of(key)[:32]


def _key(options: WhisperOptions) -> dict[str, Any]:
    heard = {"heard": _HEARD, "model": identity(resolve(options.model, options.backend))}
    return {**settled(options), **heard}


def _entry(folder: Path, clip: str) -> Path:
    if not clip.isalnum():
        raise ValueError(f"clip {clip!r} is no content hash")  # it becomes a file name
    return folder / clip[:2] / f"{clip}.json"


def _read(path: Path, clip: str) -> WhisperTranscript | None:
    """The transcript in `path`; None where there is none, or it is damaged or another clip's."""
    try:
        value = read_json(path)
        if value["clip"] != clip:
            raise ValueError(f"it is of clip {value['clip']}")
        return WhisperTranscript.from_dict(value["transcript"])
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        _log.warning("cached transcript %s is damaged (%s); it is made again", path, error)
        return None
