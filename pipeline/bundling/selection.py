"""Which bundle a name means."""

from __future__ import annotations

from speech.bundles.defects import BundleError, check_id
from speech.home import Home
from speech.serving.pointer import PointerError, read_pointer

SERVICE = "service"  # names the bundle in service


def bundle_id(name: str, home: Home, recipe: str = "defects") -> str:
    """The bundle that `name` means: an id, or `service`, the one that the recipe has in service.

    Raises `BundleError` where there is none.
    """
    if name != SERVICE:
        if not (home.bundles / check_id(name)).is_dir():
            known = sorted(path.name for path in home.bundles.glob("[a-z0-9]*")) if home.bundles.is_dir() else []
            raise BundleError(f"there is no bundle {name}; there are: {', '.join(known) or 'none yet'}")
        return name
    try:
        pointer = read_pointer(home, recipe)
    except PointerError as error:
        raise BundleError(str(error)) from error
    if pointer is None:
        raise BundleError("no bundle is in service yet; train one first, or name a bundle")
    return pointer.current
