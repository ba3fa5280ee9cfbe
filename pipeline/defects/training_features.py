"""What a model makes of the clips it learned from: by this the service tells what is far from them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pipeline.defects.corpus import Corpus
from pipeline.evaluation.batches import answers_by_length
from pipeline.progress import Report
from speech.defects.diagnose import diagnose
from speech.defects.feature_distance import describe
from speech.defects.model import DefectModel

_MOST_CLIPS = 600  # a direction and its variance need hundreds, and Whisper's encoder takes 0.3 s for each
_BATCH = 8


def feature_statistics(model: DefectModel, corpus: Corpus, report: Report) -> dict[str, Any]:
    """The entry of statistics.json that `speech.defects.feature_distance` reads; nothing of very few clips.

    `model` is put into evaluation mode. Of many training clips those are taken whose content's sha256 is lowest, which
    have nothing in common.
    """
    model.eval()
    records = sorted(corpus.clips.of_split("train"), key=lambda record: record.content)[:_MOST_CLIPS]
    seconds = [record.seconds for record in records]
    heard = answers_by_length(
        [partial(corpus.clips.samples, record) for record in records],
        seconds,
        _BATCH,
        lambda line: report(f"bundle: features, {line}"),
        lambda samples: [answer.features for answer in diagnose(model, samples)],
    )
    return describe(
        np.array(heard).reshape(len(records), -1),
        np.array(seconds),
        [corpus.clips.speaker(record) or "" for record in records],
    )
