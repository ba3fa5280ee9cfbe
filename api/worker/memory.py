"""A worker's memory around the loading of models: what stays for ever, and what is to be given back."""

from __future__ import annotations

import ctypes
import gc

from speech.hardware.devices import release_memory


def freeze_libraries() -> None:
    """Take all objects that exist from the garbage collector's care; called before a model is loaded.

    The libraries' objects stay for ever, and without them a collection takes 2 ms and not 250. Parts of a model are in
    a cycle, so the weights of a frozen one would never be given back.
    """
    import transformers.modeling_utils  # noqa: F401  # every encoder needs it; imported here, it is frozen, too

    gc.freeze()


def unfreeze_libraries() -> None:
    """Undo `freeze_libraries`: otherwise the libraries complain of leaks when the process ends."""
    gc.unfreeze()


def give_memory_back() -> None:
    """Free what a model leaves: its weight-normed convolution, held by a cycle, and the pages that glibc keeps.

    Without this a worker grows to twice its size, and by 19 MB with each swap of a 95 M model.
    """
    gc.collect()
    trim()


def trim() -> None:
    """Give back to the system what glibc keeps of what was freed, and what torch keeps on a card."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if malloc_trim is not None:
        malloc_trim(0)
    release_memory()
