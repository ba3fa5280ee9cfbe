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
from api.worker.attempts import Attempts
from api.worker.last_good import LastGood
from api.worker.memory import give_memory_back, trim
from speech.bundles.defects import BundleError, check_id
from speech.files import fingerprint
from speech.hardware.card_faults import explained, is_memory, of_card
from speech.home import Home
from speech.process import background
from speech.serving.pointer import Pointer, PointerError, pointer_file, read_pointer

log = logging.getLogger("vnyatno.service")


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
        self._attempts = Attempts()
        self._last_good = LastGood(home, recipe.name)
        self._pointer_fault: str | None = None  # that was told last; None since the pointer could be followed
        self._load_seconds = 0.0  # that the newest load took
        self._end = threading.Event()
        self._thread = background.thread(f"loader-{recipe.name}", self._follow)
        self._leaving: weakref.ref[Bundle] | None = None  # the bundle served before, until its last request is done

    def start(self) -> None:
        """Load what the pointer names, then follow it in a thread."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Stop following; what is loaded stays."""
        self._end.set()
        background.ended([self._thread])

    def look(self) -> None:
        """Look at the pointer once, and do what follows from it."""
        if self._leaving is not None and self._leaving() is None:
            self._leaving = None
            give_memory_back()
        try:
            pointer = read_pointer(self._home, self.recipe.name)
        except PointerError as error:
            self._lose_pointer(str(error))
            return
        serving = self.state.serving
        if pointer is None:
            if serving or self._last_good.read():  # else nothing was ever published
                file = pointer_file(self._home, self.recipe.name)
                self._lose_pointer(f"{file} is gone; publish a bundle to write it anew")
        elif serving and serving.bundle.id == pointer.current:
            self._stay(serving, pointer)
        else:
            self._attempt(pointer)

    def _follow(self) -> None:
        while not self._end.wait(self._poll_seconds):
            try:
                self.look()
            except Exception:  # the thread must outlive every surprise, or the worker would never swap again
                log.exception("looking at the pointer failed")

    def _stay(self, serving: Serving[Bundle], pointer: Pointer) -> None:
        """The pointer names what is in service: no refusal stands any more, and what else the pointer says is noted."""
        self._attempts.forget()
        self._pointer_fault = None
        if self.state.refused:
            log.info("the pointer names %s again, which is in service", pointer.current)
        if self.state.refused or (serving.published, serving.previous) != (pointer.published, pointer.previous):
            self.state = State(Serving(serving.bundle, pointer.published, pointer.previous))

    def _attempt(self, pointer: Pointer) -> None:
        """Try the bundle that the pointer names, if that is due, and serve it or refuse it."""
        now = self._clock()
        if not self._attempts.due(pointer.current, fingerprint(self._home.bundles / pointer.current), now):
            return
        self._pointer_fault = None
        try:
            bundle = self._load(pointer.current)
        except Exception as error:  # whatever a broken bundle provokes, what is in service stays in service
            may_pass = isinstance(error, OSError) or is_memory(error)
            self._attempts.failed(may_pass, now)
            again = "; it is tried again by itself" if may_pass else ""
            self._refuse(pointer.current, _reason(error) + again, _counted_as(error))
        else:
            self._attempts.forget()
            self._serve(Serving(bundle, pointer.published, pointer.previous), None)
            self._last_good.remember(bundle.id)
            return
        # Only now is the error gone, and with it the model that its traceback held.
        give_memory_back()
        self._fall_back(pointer)

    def _load(self, bundle_id: str) -> Bundle:
        start = time.perf_counter()
        bundle = self.recipe.load(self._home.bundles / check_id(bundle_id), self._device)
        if self._prepare is not None:
            bundle = self._prepare(bundle)
        self.recipe.try_out(bundle)
        trim()
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

    def _lose_pointer(self, reason: str) -> None:
        """The pointer cannot be followed: told once per reason, and counted as a refusal of the pointer itself."""
        if self._pointer_fault != reason:
            self._pointer_fault = reason
            self._attempts.forget()
            self._refuse(None, reason, "pointer")
            self._fall_back(None)

    def _fall_back(self, pointer: Pointer | None) -> None:
        """With nothing in service, serve what was last known to be good."""
        if self.state.serving:
            return
        known = [self._last_good.read(), pointer.previous if pointer else None]
        for bundle_id in dict.fromkeys(name for name in known if name and name != (pointer and pointer.current)):
            try:
                bundle = self._load(bundle_id)
            except Exception as error:  # as in `_attempt`
                log.error("%s cannot stand in: %s", bundle_id, error)
            else:
                self._serve(Serving(bundle, "", None), self.state.refused)
                return


def _reason(error: Exception) -> str:
    if isinstance(error, BundleError):
        return str(error)
    return explained(error) if of_card(error) and str(error) else f"{type(error).__name__}: {error}"


def _counted_as(error: Exception) -> str:
    """A refusal's kind, one of `api.observe.metric_definitions.REASONS`."""
    if isinstance(error, BundleError):
        return error.fault
    if is_memory(error):
        return "memory"
    kinds = {FloatingPointError: "numbers", OSError: "disk"}
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "other")
