"""Which bundle of a recipe a worker serves: it follows the pointer, and keeps what it has when the new one is no good.

Every worker looks at the pointer by itself. A bundle is verified, loaded and tried out in the loader's thread; then one
reference is swapped. Requests take that reference once, so each is answered by one bundle from beginning to end.

A bundle or pointer that cannot be used is refused: what was served goes on being served, and the refusal stands in the
state, the log and the metrics until it is mended. It is tried again when the pointer or a file of the bundle changes;
faults that may pass by themselves (disk, memory of the machine or of its card) are tried again without a change, ever
more rarely. What a failed attempt took is given back first, so that it is not what the next one lacks.

A worker that starts while the pointer is broken, or names a broken bundle, has nothing to keep. It takes the bundle
that was last served well (remembered beside the pointer), else the pointer's previous one, so that a worker restarted
in such an hour serves what the others serve. Where the pointer is gone, that is a broken pointer too; without a
pointer and without a remembered bundle nothing was ever published, and nothing is served.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from api.observe.loaded import Loaded
from speech.bundles.defects import BundleError, check_id
from speech.files import fingerprint, write_atomically
from speech.hardware.card_faults import explained, is_memory, of_card
from speech.hardware.devices import release_memory
from speech.home import Home
from speech.process import background
from speech.serving.pointer import Pointer, PointerError, pointer_file, read_pointer

log = logging.getLogger("vnyatno.service")

FIRST_PAUSE = 1.0  # seconds between two attempts at the same target; doubled with each failure
LONGEST_PAUSE = 60.0  # seconds; a bundle mended by hand is back in service within a minute


Bundle = TypeVar("Bundle", bound=Loaded)


@dataclass(frozen=True)
class Recipe(Generic[Bundle]):
    """What sets a recipe's bundles apart for whoever serves them."""

    name: str
    load: Callable[[Path, str], Bundle]
    """Verifies the bundle in a folder and loads it onto a device. Raises `BundleError`."""
    try_out: Callable[[Bundle], None]
    """One answer of nobody's; raises what the bundle provokes."""
    remedy: str
    """How to get a first bundle into service."""


class Observer(Protocol):
    """Who is told of swaps and refusals: the metrics."""

    def serving(self, bundle: Loaded, seconds: float) -> None: ...

    def refused(self, reason: str, recipe: str) -> None: ...


@dataclass(frozen=True)
class Serving(Generic[Bundle]):
    """A bundle in service and what the pointer said when it was taken; `published` is UTC, ISO 8601, or empty."""

    bundle: Bundle
    published: str
    previous: str | None


@dataclass(frozen=True)
class Refusal:
    """A bundle (None: the pointer itself) that was not taken, why, and when (UTC, ISO 8601)."""

    bundle: str | None
    reason: str
    at: str


@dataclass(frozen=True)
class State(Generic[Bundle]):
    """What a worker serves and what it refused last, both at the same moment."""

    serving: Serving[Bundle] | None = None
    refused: Refusal | None = None


class Loader(Generic[Bundle]):
    """Follows a recipe's pointer; `state` may be read from any thread."""

    def __init__(
        self,
        recipe: Recipe[Bundle],
        home: Home,
        observer: Observer,
        device: str = "cpu",
        poll_seconds: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        prepare: Callable[[Bundle], Bundle] | None = None,
    ) -> None:
        """`prepare` makes of a loaded bundle the one that is to serve."""
        self.recipe = recipe
        self.state: State[Bundle] = State()
        self._home = home
        self._observer = observer
        self._device = device
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._prepare = prepare
        self._tried: tuple[str | None, object] | None = None
        self._passing = False  # whether the last fault may pass by itself
        self._pause = FIRST_PAUSE
        self._not_before = 0.0
        self._load_seconds = 0.0  # that the newest load took
        self._end = threading.Event()
        self._thread = background.thread(f"loader-{recipe.name}", self._follow)
        self._leaving: weakref.ref[Bundle] | None = None  # what was served before, until its last request is done

    def start(self) -> None:
        """Load what the pointer names, then follow it in a thread."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Stop following; what is loaded stays."""
        self._end.set()
        background.ended([self._thread])

    def look(self) -> None:
        """One look at the pointer, and what follows from it."""
        if self._leaving is not None and self._leaving() is None:
            self._leaving = None
            _give_memory_back()
        try:
            pointer = read_pointer(self._home, self.recipe.name)
        except PointerError as error:
            self._lost(str(error))
            return
        if pointer is None:
            if self.state.serving or self._last_good():
                self._lost(f"{pointer_file(self._home, self.recipe.name)} is gone; publish a bundle to write it anew")
            return
        serving = self.state.serving
        if serving and serving.bundle.id == pointer.current:
            self._tried = None
            if self.state.refused:
                log.info("the pointer names %s again, which is in service", pointer.current)
            if self.state.refused or (serving.published, serving.previous) != (pointer.published, pointer.previous):
                self.state = State(Serving(serving.bundle, pointer.published, pointer.previous))
            return
        self._attempt(pointer)

    def _follow(self) -> None:
        while not self._end.wait(self._poll_seconds):
            try:
                self.look()
            except Exception:  # the thread must outlive every surprise, or the worker would never swap again
                log.exception("looking at the pointer failed")

    def _attempt(self, pointer: Pointer) -> None:
        target = (pointer.current, fingerprint(self._home.bundles / pointer.current))
        now = self._clock()
        if self._tried is None or self._tried[0] != pointer.current:
            self._pause, self._not_before = FIRST_PAUSE, now
        elif (self._tried == target and not self._passing) or now < self._not_before:
            return
        self._tried = target
        try:
            bundle = self._load(pointer.current)
        except Exception as error:  # whatever a broken bundle provokes, what is in service stays in service
            self._failed(pointer.current, error, now)
        else:
            self._tried = None
            self._serve(Serving(bundle, pointer.published, pointer.previous), None)
            self._remember(bundle.id)
            return
        # Only now is the error gone, and with it the model that its traceback held.
        _give_memory_back()
        self._fall_back(pointer)

    def _failed(self, bundle_id: str, error: Exception, now: float) -> None:
        self._passing = isinstance(error, OSError) or is_memory(error)
        self._not_before = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        again = "; it is tried again by itself" if self._passing else ""
        self._refuse(bundle_id, _reason(error) + again, _counted_as(error))

    def _load(self, bundle_id: str) -> Bundle:
        start = time.perf_counter()
        bundle = self.recipe.load(self._home.bundles / check_id(bundle_id), self._device)
        if self._prepare is not None:
            bundle = self._prepare(bundle)
        self.recipe.try_out(bundle)
        _trim()
        self._load_seconds = time.perf_counter() - start
        return bundle

    def _serve(self, serving: Serving[Bundle], refused: Refusal | None) -> None:
        before = self.state.serving
        self._leaving = weakref.ref(before.bundle) if before else None
        self.state = State(serving, refused)
        self._observer.serving(serving.bundle, self._load_seconds)
        log.info("bundle %s is in service", serving.bundle.id)

    def _refuse(self, bundle_id: str | None, reason: str, counted_as: str) -> None:
        serving = self.state.serving
        self.state = State(serving, Refusal(bundle_id, reason, datetime.now(UTC).isoformat(timespec="seconds")))
        self._observer.refused(counted_as, self.recipe.name)
        kept = f"{serving.bundle.id} stays in service" if serving else "nothing is in service"
        log.error("%s refused, %s: %s", bundle_id or "the pointer was", kept, reason)

    def _lost(self, reason: str) -> None:
        """The pointer cannot be followed; said once per reason."""
        if self._tried != (None, reason):
            self._tried = (None, reason)
            self._refuse(None, reason, "pointer")
            self._fall_back(None)

    def _fall_back(self, pointer: Pointer | None) -> None:
        """With nothing in service, serve what was last known to be good."""
        if self.state.serving:
            return
        known = [self._last_good(), pointer.previous if pointer else None]
        for bundle_id in dict.fromkeys(name for name in known if name and name != (pointer and pointer.current)):
            try:
                bundle = self._load(bundle_id)
            except Exception as error:  # as in `_attempt`
                log.error("%s cannot stand in: %s", bundle_id, error)
            else:
                self._serve(Serving(bundle, "", None), self.state.refused)
                return

    def _last_good_file(self) -> Path:
        return self._home.serving / f"{self.recipe.name}.last_good"

    def _last_good(self) -> str | None:
        try:
            return check_id(self._last_good_file().read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s cannot be used: %s", self._last_good_file(), error)
            return None

    def _remember(self, bundle_id: str) -> None:
        if self._last_good() == bundle_id:
            return
        try:
            write_atomically(self._last_good_file(), bundle_id + "\n")
        except OSError as error:
            log.warning("%s cannot be written, a restart may need it: %s", self._last_good_file(), error)


def _reason(error: Exception) -> str:
    if isinstance(error, BundleError):
        return str(error)
    return explained(error) if of_card(error) and str(error) else f"{type(error).__name__}: {error}"


def _counted_as(error: Exception) -> str:
    """A refusal's kind, one of `api.observe.figures.REASONS`."""
    if isinstance(error, BundleError):
        return error.fault
    if is_memory(error):
        return "memory"
    kinds = {FloatingPointError: "numbers", OSError: "disk"}
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "other")


def freeze_libraries() -> None:
    """Called before a model is loaded: the libraries' objects stay for ever, and without them a collection takes 2 ms
    and not 250. Parts of a model are in a cycle, so a frozen one's weights would never be given back."""
    import transformers.modeling_utils  # noqa: F401  # every encoder needs it; imported here, it is frozen, too

    gc.freeze()


def unfreeze_libraries() -> None:
    """Or they complain of leaks when the process ends."""
    gc.unfreeze()


def _give_memory_back() -> None:
    """Free what a model leaves: its weight-normed convolution, held by a cycle, and the pages that glibc keeps.

    Without this a worker grows to twice its size, and by 19 MB with each swap of a 95 M model.
    """
    gc.collect()
    _trim()


def _trim() -> None:
    """Give back what glibc keeps, and torch on a card, of what was freed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)
    release_memory()
