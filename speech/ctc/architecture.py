"""A CTC model's configuration as data, and the model of it: no code is fetched, whatever the configuration says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModelForCTC, PreTrainedConfig

# Keys through which transformers would fetch code from a hub; names with a leading underscore include more of them.
_NO_CONFIGURATION = ("auto_map", "attn_implementation", "transformers_version", "dtype", "torch_dtype")


class RecogniserError(ValueError):
    """A recogniser cannot be had or used; the message names the file, or the page, and what to do."""


def architecture(config: PreTrainedConfig) -> dict[str, Any]:
    """A model's configuration as JSON has it, without what would have code fetched from a hub."""
    value: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return _plain(value)


def configuration(value: Mapping[str, Any]) -> PreTrainedConfig:
    """The configuration of `architecture`. Raises `RecogniserError` where it is none of a CTC model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING_NAMES

    plain = _plain(value)
    kind = plain.pop("model_type", None)
    if kind not in MODEL_FOR_CTC_MAPPING_NAMES:
        known = ", ".join(MODEL_FOR_CTC_MAPPING_NAMES)
        raise RecogniserError(f"config.json, model_type: {kind!r} is no model that CTC is known for: {known}")
    try:
        config = AutoConfig.for_model(kind, **plain)
    except Exception as error:  # each architecture raises its own
        raise RecogniserError(f"config.json does not describe a {kind}: {error}") from error
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key not in _NO_CONFIGURATION and not key.startswith("_")}
        return {key: _plain(item) for key, item in kept.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def build(value: Mapping[str, Any]) -> nn.Module:
    """The model of an `architecture` with weights yet to be loaded. Raises `RecogniserError`."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        model: nn.Module = AutoModelForCTC.from_config(configuration(value), trust_remote_code=False)
    return model
