"""The whole recipe on a corpus with known places, again and again with settings changed: what the defaults rest on.

    python -m bench.recipe --config configs/offline.yaml --corpus var/bench/corpus.zip --seeds 3 \\
        --variant "one head: heads.two_heads=false" --variant "letters: encoder.pretext=letters heads.width=64"

Every variant is the job `train` itself, run in this process with a data folder of its own, so that stages that no
setting touches are made once. Each run adds a line to `--out` (JSON: settings, seconds, figures); at the end stand mean
and deviation over the seeds. Runs that `--out` holds already are not made again.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dagster import DagsterInstance

from bench.places import measure
from pipeline.defects.weights import load_model
from pipeline.definitions import defs
from pipeline.evaluation import METRICS
from speech.defects.calibration import Calibration
from speech.files import read_json

OPEN_GATE = {"min_macro_f1": 0.0, "allow_zero_class": True}


def parse_variant(text: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """`name: stage.setting=value …` to the name and, by stage, settings; values are YAML. Raises ValueError."""
    name, _, changes = text.partition(":")
    settings: dict[str, dict[str, Any]] = {}
    for change in changes.split():
        place, equals, value = change.partition("=")
        stage, dot, setting = place.partition(".")
        if not (equals and dot):
            raise ValueError(f"variant {text!r}: {change!r} is not stage.setting=value")
        settings.setdefault(stage, {})[setting] = yaml.safe_load(value)
    return name.strip(), settings


def run_config(recipe: Path, corpus: Path, settings: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """The recipe's run configuration with a variant's settings, a seed, an open gate, and nothing published."""
    value = copy.deepcopy(yaml.safe_load(recipe.read_text(encoding="utf-8")))
    stages = value["ops"]
    always: dict[str, dict[str, Any]] = {
        "archive": {"sources": [str(corpus.resolve())]},
        "encoder": {"seed": seed},
        "heads": {"seed": seed},
        "evaluation": {"compare_champion": False},
        "bundle": {**OPEN_GATE, "publish": False},
    }
    for changes in (always, settings):
        for stage, changed in changes.items():
            stages.setdefault(stage, {}).setdefault("config", {}).update(changed)
    if "architecture" in settings.get("encoder", {}):
        stages["encoder"]["config"].pop("name", None)
    return {"ops": stages}


def run(config: dict[str, Any], corpus: Path, instance: DagsterInstance) -> dict[str, Any]:
    """One run of the job; its figures."""
    began = time.monotonic()
    result = defs.resolve_job_def("train").execute_in_process(config, instance)
    seconds = time.monotonic() - began
    folders, took = {}, {}
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        folders[event.step_key] = Path(str(metadata["folder"].value))
    for event in result.all_events:
        if event.is_step_success:
            took[event.step_key] = round(event.event_specific_data.duration_ms / 1000, 1)  # type: ignore[union-attr]
    metrics = read_json(folders["evaluation"] / METRICS)
    model = load_model(folders["heads"])
    calibration = metrics["calibration"]
    return {
        "seconds": round(seconds, 1),
        "steps": took,
        "test_macro_f1": metrics["macro_f1"],
        "per_class": {name: row["f1"] for name, row in metrics["per_class"].items()},
        "ece": {stage: calibration["test"][stage]["ece"] for stage in ("before", "after")},
        "accepted": calibration["test"]["accepted"],
        "markers": {name: metrics["markers"][name] for name in ("mae", "mae_of_mean", "by_text")},
        "groups": metrics["groups"],
        "by_places": measure(model, Calibration.from_dict(calibration["applied"]), corpus),
    }


def known_runs(path: Path) -> list[dict[str, Any]]:
    """The runs that a file of lines holds."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def summary(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line per variant: mean and deviation over its seeds."""
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == name]
        scores = [row["by_places"]["macro_f1"] for row in own]
        letters = [np.mean(list(row["by_places"]["letters"].values())) for row in own]
        ece = [row["ece"]["after"]["value"] for row in own]
        deviation = np.std(scores, ddof=1) if len(scores) > 1 else 0.0
        yield (
            f"{name:40} macro-F1 {np.mean(scores):.3f} ± {deviation:.3f}   "
            f"letters {np.mean(letters):.3f}   ECE {np.mean(ece):.3f}   {len(own)} runs, "
            f"{np.median([row['seconds'] for row in own]):.0f} s"
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure a recipe and variants of it on a generated corpus.")
    parser.add_argument("--config", type=Path, default=Path("configs/offline.yaml"))
    parser.add_argument("--corpus", type=Path, default=Path("var/bench/corpus.zip"))
    parser.add_argument("--variant", action="append", default=[], help="name: stage.setting=value …; may be repeated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("var/bench/recipe.jsonl"))
    parser.add_argument("--home", type=Path, default=Path("var/bench/home"), help="data folder of these runs")
    options = parser.parse_args()
    os.environ["VNYATNO_HOME"] = str(options.home.resolve())
    os.environ["VNYATNO_ARCHIVE_ROOTS"] = str(options.corpus.resolve().parent)
    variants = [parse_variant(text) for text in options.variant] or [parse_variant("as it is")]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with DagsterInstance.ephemeral() as instance:
        for seed in range(options.seeds):
            for name, settings in variants:
                config = run_config(options.config, options.corpus, settings, seed)
                identity = {"config": config, "corpus": options.corpus.name}
                if any(row["identity"] == identity and row["variant"] == name for row in known_runs(options.out)):
                    continue
                row = {"variant": name, "seed": seed, "identity": identity} | run(config, options.corpus, instance)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                print(
                    json.dumps({key: value for key, value in row.items() if key != "identity"}, ensure_ascii=False),
                    flush=True,
                )
    names = [name for name, _ in variants]
    print("\n".join(summary([row for row in known_runs(options.out) if row["variant"] in names])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
