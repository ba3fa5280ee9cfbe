"""SpecAugment (Park et al., 2019) along time, as transformers has it in models of wav2vec 2.0's kind."""

from __future__ import annotations

from speech.ctc.folder import Recogniser, RecogniserError

_MASK_SECONDS = 1 / 6  # of one stretch: about a vowel with a consonant


def mask_frames(recogniser: Recogniser, share: float) -> None:
    """Have training hide this share of the frames from the encoder; in evaluation mode nothing is hidden.

    Raises `RecogniserError` for a model that has nothing to put in a hidden frame's place.
    """
    config = recogniser.base.config
    if not hasattr(recogniser.base, "masked_spec_embed"):
        raise RecogniserError(f"masked: models of type {config.model_type} hide no frames by themselves; leave it out")
    config.apply_spec_augment = True
    config.mask_time_prob = share
    config.mask_time_length = max(1, round(_MASK_SECONDS / recogniser.frame_seconds))
