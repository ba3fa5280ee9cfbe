"""A child that hears words: `python -m speech.whisper.child MODEL`, asked as `speech.process.worker` asks.

A question is float32 samples at 16 kHz with their `language`. An answer holds `words`, or the message of an error under
`language` or `transcriber`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from speech.process.served import begin, serve


def main(model: str) -> None:
    """The child. It can be held up as soon as it is ready, so it is ready before its slow imports."""
    answers = begin()
    from speech.text.language import LanguageError
    from speech.whisper.backend import TranscriberError
    from speech.whisper.hearer import Hearer

    hearer = Hearer(model, "cpu", 1)

    def words(message: dict[str, Any], raw: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            heard = hearer.words(np.frombuffer(raw, np.float32), message["language"])
        except LanguageError as error:
            return {"language": str(error)}, b""
        except (TranscriberError, ImportError) as error:
            return {"transcriber": str(error)}, b""
        return {"words": [asdict(word) for word in heard]}, b""

    serve(answers, words)


if __name__ == "__main__":
    main(sys.argv[1])
