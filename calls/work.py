"""One call: cut into windows, each judged and kept as it comes, then a verdict a channel, and all of it is done."""

from __future__ import annotations

import errno
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from calls.archive import Claim
from calls.claims import Claims, WindowKey
from calls.sources import SourceError, Sources
from speech.audio.decode import AudioError
from speech.bundles.defects import LoadedBundle
from speech.defects.diagnose import Diagnosis
from speech.defects.judged_window import JudgedWindow, doubted_window, judge_window
from speech.defects.recording_verdict import judge_recording
from speech.defects.training_distance import Distance, farther
from speech.longform.cutter import Channel, Cutter, LongLimits, RecordingSummary, Window
from speech.process.fork_server import ForkServer
from speech.text.alignment import TimedWord
from speech.text.language import LanguageError
from speech.whisper.hearer_pool import HearerPool, HearingBroke

T = TypeVar("T")
log = logging.getLogger("vnyatno.calls")

# Faults of this machine at this moment, not of a call: it is tried again.
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)

_LOOK_SECONDS = 0.5  # between two looks whether this process is to end

Submit = Callable[[str, np.ndarray], "Future[Diagnosis]"]
"""Judges a window of samples (n,), mono, 16 kHz, under the bundle of that id, at some time; `Swapped` where another is
in service then, so that no window that waits holds a model."""


class Stopped(Exception):
    """This process ends; the call is given back."""


class Swapped(Exception):
    """Another bundle is in service than the call was begun under; `bundle` is its id."""

    def __init__(self, bundle: str) -> None:
        super().__init__(bundle)
        self.bundle = bundle


@dataclass(frozen=True)
class Tools:
    """What judging a call needs. `current` gives the bundle in service, None where there is none; nobody keeps it.

    `limits` of a file, given the bundle; `in_flight`: windows of one call that wait or are computed at once.
    `stopped` says whether this process is to end; `hearing`: of `speech.longform.cutter.hearing_server`; `hearers`
    hear the words of calls of which these are kept."""

    claims: Claims
    sources: Sources
    current: Callable[[], LoadedBundle | None]
    submit: Submit
    limits: Callable[[LoadedBundle], LongLimits]
    in_flight: int
    stopped: Callable[[], bool]
    hearing: ForkServer
    hearers: HearerPool


@dataclass(frozen=True)
class _Flying:
    """A window that waits or is computed; `words` None where none are kept."""

    key: WindowKey
    window: Window
    diagnosis: Future[Diagnosis]
    words: Future[list[TimedWord]] | None

    def cancel(self) -> None:
        self.diagnosis.cancel()
        if self.words is not None:
            self.words.cancel()


def judge_call(claim: Claim, tools: Tools) -> None:
    """Judge a call and keep the outcome, good or bad.

    Raises:
        Lost: the archive was cancelled or deleted meanwhile.
        Stopped: the process is to end, or no bundle is in service; the call is still claimed.
        OSError, sqlite3.Error, TranscriberError: the machine has no room, no handles or no Whisper; the call is still
            claimed.
    """
    try:
        while True:
            try:
                _judge(claim, tools)
                return
            except Swapped as swap:
                claim = tools.claims.start_over(claim, swap.bundle)
    except (AudioError, SourceError) as error:
        tools.claims.fail(claim, error.code, str(error))
    except (HearingBroke, LanguageError) as error:
        tools.claims.fail(claim, "no_transcript", str(error))
    except FloatingPointError:
        tools.claims.fail(claim, "not_assessable", "the model finds no finite answer for this recording")
    except OSError as error:
        if error.errno in _PASSING:
            raise
        tools.claims.fail(claim, "unreadable", f"the file cannot be read ({error.strerror or type(error).__name__})")


def _judge(claim: Claim, tools: Tools) -> None:
    """Raises `Swapped` besides."""
    windows = tools.claims.judged(claim)
    places: Counter[Channel] = Counter()
    flying: deque[_Flying] = deque()
    limits = tools.limits(_bundle(claim, tools))
    try:
        with tools.sources.file(claim) as path, Cutter(path, claim.listening, limits, True, tools.hearing) as cutter:
            for window in cutter:
                key = (-1 if window.channel is None else window.channel, places[window.channel])
                places[window.channel] += 1
                if key in windows:
                    if windows[key].start != window.start:
                        raise Swapped(claim.bundle)  # the file was exchanged under us: what was kept is another's
                    continue
                flying.append(_sent(claim, tools, key, window))
                if len(flying) >= tools.in_flight:
                    _keep(claim, tools, flying, windows, _part(cutter))
            while flying:
                _keep(claim, tools, flying, windows, _part(cutter))
            summary = cutter.summary
    finally:
        for each in flying:
            each.cancel()
    bundle = _bundle(claim, tools)
    far = _distances(bundle, summary, list(windows.values()))
    changed = [
        (key, doubted_window(window))
        for key, window in sorted(windows.items())
        if (distance := far[window.channel]) is not None and distance.unlike
    ]
    windows |= dict(changed)
    said = [windows[key] for key in sorted(windows)]
    verdicts = [
        judge_recording(said, summary, channel, bundle.calibration, far[channel]) for channel in summary.judged_channels
    ]
    del bundle
    tools.claims.finish(claim, _as_dict(summary), verdicts, changed)


def _distances(
    bundle: LoadedBundle, summary: RecordingSummary, windows: Sequence[JudgedWindow]
) -> dict[Channel, Distance | None]:
    """How far each judged channel is from the training clips, in its sound or in its features; None where the bundle
    does not know them."""
    training, features = bundle.training_distance, bundle.feature_distance
    found: dict[Channel, Distance | None] = {}
    for channel in summary.judged_channels:
        sound = None if training is None else training.of_stretches(summary.stretches[channel])
        known = [
            (window.feature_score, window.weight)
            for window in windows
            if window.channel == channel and window.feature_score is not None
        ]
        found[channel] = farther(sound, None if features is None else features.of_windows(known))
    return found


def in_service(current: Callable[[], LoadedBundle | None], wanted: str) -> LoadedBundle:
    """The bundle in service, where it is the one of that id. Raises `Swapped`, or `Stopped` where there is none."""
    bundle = current()
    if bundle is None:
        raise Stopped
    if bundle.id != wanted:
        raise Swapped(bundle.id)
    return bundle


def _bundle(claim: Claim, tools: Tools) -> LoadedBundle:
    if tools.stopped():
        raise Stopped
    return in_service(tools.current, claim.bundle)


def _sent(claim: Claim, tools: Tools, key: WindowKey, window: Window) -> _Flying:
    language = _bundle(claim, tools).config.language
    words = tools.hearers.submit(window.samples, language) if claim.listening.transcript else None
    return _Flying(key, window, tools.submit(claim.bundle, window.samples), words)


def _keep(
    claim: Claim,
    tools: Tools,
    flying: deque[_Flying],
    windows: dict[WindowKey, JudgedWindow],
    part: float,
) -> None:
    """Wait for the window that was sent first, and keep what is said of it."""
    each = flying[0]
    diagnosis = _result(each.diagnosis, tools)
    words = None if each.words is None else _result(each.words, tools)
    far = _bundle(claim, tools).distance_of(diagnosis)
    windows[each.key] = judge_window(each.window, diagnosis, words, far)
    flying.popleft()
    tools.claims.keep(claim, [(each.key, windows[each.key])], part)


def _result(future: Future[T], tools: Tools) -> T:
    """Raises `Stopped` where this process ends first: whoever was to compute it may have ended already."""
    while True:
        try:
            return future.result(_LOOK_SECONDS)
        except (TimeoutError, CancelledError) as error:
            if tools.stopped():
                raise Stopped from None
            if isinstance(error, CancelledError):
                raise


def _part(cutter: Cutter) -> float:
    """How much of the call is decoded, 0 to 1, as far as its header can be trusted."""
    announced = cutter.announced_seconds
    return min(1.0, cutter.position / announced) if announced else 0.0


def _as_dict(summary: RecordingSummary) -> dict[str, Any]:
    """What stands of the whole recording beside its verdicts; the rest is in these."""
    return {
        "seconds": summary.seconds,
        "speech_seconds": sum(summary.speech_seconds.values()),
        "channels": summary.source_channels,
        "source_rate": summary.source_rate,
        "cut_short": summary.incomplete,
    }
