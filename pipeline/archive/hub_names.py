"""Datasets of Hugging Face's hub, named where an archive is expected."""

from __future__ import annotations

import re

from speech.archives.errors import UnsupportedLink

_PART = r"(?!(?:tree|viewer|discussions|blob|raw|resolve)(?:/|$))[A-Za-z0-9][\w.-]*"
_LINK = re.compile(
    rf"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/|hf://datasets/|datasets/)(?P<name>{_PART}(?:/{_PART})?)"
    r"(?:@(?P<revision>[\w.-]+))?(?P<rest>/.*|[?#].*)?",
    re.ASCII,
)
_BARE = re.compile(rf"{_PART}(?:/{_PART})?", re.ASCII)
_PAGES = ("/tree/", "/viewer/", "/discussions/")  # of a dataset, below its own
_FILE = "/resolve/"
_PACKED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")


def linked_dataset(source: str) -> tuple[str, str | None] | None:
    """The name and revision of the dataset that `source` is a link to; None for anything else, a file of one too."""
    found = _LINK.fullmatch(source.strip())
    if found is None:
        return None
    rest = re.split(r"[?#]", found["rest"] or "")[0].rstrip("/")
    if rest and not f"{rest}/".startswith(_PAGES):
        return None
    return found["name"], found["revision"]


def refuse_dataset(source: str) -> None:
    """Raise `UnsupportedLink` where `source` is a link to a dataset, or an hf: link to a file of one."""
    found = _LINK.fullmatch(source)
    if found is None or source.startswith("datasets/"):
        return
    rest = found["rest"] or ""
    if source.startswith("hf:") and rest.casefold().endswith(_PACKED):
        address = f"https://huggingface.co/datasets/{found['name']}/resolve/{found['revision'] or 'main'}{rest}"
        raise UnsupportedLink(source, "links with hf: are not taken", f"Give the file's address: {address}")
    if not rest.startswith(_FILE):
        raise UnsupportedLink(
            source, "this is a dataset of Hugging Face and no archive", f"Set {_place(found['name'])}"
        )


def remedy_for_name(source: str) -> str:
    """What to do where `source`, which leads to no file, may be a dataset's bare name; empty where it is none."""
    name = source.removeprefix("datasets/")
    if _BARE.fullmatch(name) is None or name.casefold().endswith(_PACKED):
        return ""
    return f"Or, if {name} is a dataset of Hugging Face, set {_place(name)}"


def _place(name: str) -> str:
    return (
        f"ops.asr_archive.config.dataset.name to {name}, which the job asr reads; for other jobs pack data_train.csv "
        "and data_mp3 into one .zip and give that"
    )
