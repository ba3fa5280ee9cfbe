"""What a form may hold besides the recording, and what its reader's refusals are called."""

from __future__ import annotations

from typing import TypedDict

from api.settings import ServiceSettings

# How the reader's messages begin; it has no other way to tell its refusals apart.
_CODES = {
    "Too many fields": "too_many_fields",
    "Too many files": "too_many_files",
    "Part exceeded": "field_too_large",
    "Field exceeded": "field_too_large",
    "Maximum header": "part_headers_too_large",
}


class FormLimits(TypedDict, total=False):
    """Counts of fields and files, and bytes of one field, by the names that FastAPI gives them."""

    max_fields: int
    max_files: int
    max_part_size: int


def limits(settings: ServiceSettings) -> FormLimits:
    """As FastAPI takes them."""
    return {
        "max_fields": settings.max_fields,
        "max_files": settings.max_fields,
        "max_part_size": settings.max_field_bytes,
    }


def refusal(error: BaseException) -> tuple[str, str] | None:
    """Code and sentence for a form that was refused for its size, from the reader's error or one that it caused."""
    link: BaseException | None = error
    while link is not None:
        text = str(getattr(link, "detail", link))
        for beginning, code in _CODES.items():
            if text.startswith(beginning):
                return code, f"{text.rstrip('.')}; send the recording in the field 'file', and little besides"
        link = link.__cause__ or link.__context__
    return None
