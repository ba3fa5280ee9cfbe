"""The run configuration that the demonstration launches: a ready YAML with the user's archive put in."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class RunConfigError(ValueError):
    """The configuration or the archive cannot be used; the message names it."""


def read_run_config(path: Path) -> dict[str, Any]:
    """A run configuration from a YAML file. Raises `RunConfigError`."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunConfigError(f"the run configuration {path} cannot be read: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("ops", {}), dict):
        raise RunConfigError(f"{path} is no run configuration: its top level must hold `ops:`; see configs/smoke.yaml")
    return value


def with_archive(run_config: Mapping[str, Any], archive: str, stage: str = "archive") -> dict[str, Any]:
    """`run_config` with `archive` as the only source of `stage`: a link as it is, a local file by its absolute path.

    A local file's folder is added to the roots that the stage may read. Raises `RunConfigError` where there is
    no such file.
    """
    changed, config = _changeable(run_config, stage)
    if "://" in archive:
        config["sources"] = [archive]
        return changed
    path = Path(archive).expanduser().resolve()
    if not path.is_file():
        raise RunConfigError(f"there is no archive {path}; give a .zip file, an http(s) link or a Google Drive link")
    config["sources"] = [str(path)]
    config["allowed_roots"] = [*config.get("allowed_roots", []), str(path.parent)]
    return changed


def with_language(run_config: Mapping[str, Any], language: str, stage: str = "clips") -> dict[str, Any]:
    """`run_config` with the language of `stage`, a file `configs/languages/<language>.yaml`; companions speak the
    configuration's own language, and fall away with another.

    Raises `RunConfigError`.
    """
    changed, config = _changeable(run_config, stage)
    if config.get("language", language) != language:
        _config(changed, "archive").pop("companions", None)
    config["language"] = language
    return changed


def sources(run_config: Mapping[str, Any], stage: str = "archive") -> list[str]:
    """The sources that a run configuration names for `stage` itself; empty where it leaves them open."""
    found = _config(run_config, stage).get("sources")
    return [str(source) for source in found] if isinstance(found, list) else []


def names_data(run_config: Mapping[str, Any], stage: str) -> bool:
    """Whether a run configuration says itself where the data of `stage` come from: `sources`, or a `dataset`."""
    return bool(sources(run_config, stage) or _config(run_config, stage).get("dataset"))


def _config(run_config: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """What the run configuration gives a stage, itself; an empty one where that is nothing."""
    config: Any = run_config
    for key in ("ops", stage, "config"):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config if isinstance(config, dict) else {}


def _changeable(run_config: Mapping[str, Any], stage: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy of `run_config`, and within it the configuration of `stage`, made where it lacks one."""
    changed = copy.deepcopy(dict(run_config))
    config = changed
    for key in ("ops", stage, "config"):
        config = config.setdefault(key, {})
        if not isinstance(config, dict):
            raise RunConfigError(f"the run configuration's ops.{stage}.config must be a mapping; `{key}` is not one")
    return changed, config
