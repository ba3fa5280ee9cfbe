"""The job `asr` with a stand-in for its training, in processes that Kubeflow starts: a small model with random weights.

Python imports this when it starts where PYTHONPATH names this folder. Everything else of the job is the real one.
"""

import os
from pathlib import Path
from typing import Any

if os.environ.get("_KFP_RUNTIME"):
    from dagster import AssetExecutionContext, Config, Definitions, MaterializeResult, asset, define_asset_job

    import pipeline.definitions
    import pipeline.run_config
    from pipeline.assets.asr_archive import asr_archive
    from pipeline.assets.asr_bundle import asr_bundle
    from pipeline.assets.asr_clips import asr_clips
    from pipeline.assets.asr_evaluation import asr_evaluation
    from pipeline.assets.stage import Stage, result
    from pipeline.launchpad import Comet
    from pipeline.settings import Settings

    class TrainingSettings(Settings):
        """As the real training's, as far as the pipeline sets them."""

        name: str = "a stand-in"
        epochs: float = 1.0

    class TrainingConfig(TrainingSettings, Config):
        """`ops.recogniser.config`."""

    @asset(deps=["asr_clips"])
    def recogniser(context: AssetExecutionContext, config: TrainingConfig) -> MaterializeResult:
        """A recogniser that has learned nothing."""
        stage = Stage(context, "recogniser")

        def make(folder: Path) -> dict[str, Any]:
            from speech.recogniser import save_recogniser
            from tests.recognisers import tiny_recogniser

            assert os.environ["HF_TOKEN"] == "hf_averysecrettoken"
            save_recogniser(tiny_recogniser(folder / "vocabulary"), folder / "model")
            return {"validation_wer": 1.0}

        inputs = {"asr_clips": stage.after("asr_clips").key}
        return result(stage.build(1, config, inputs, make), {})

    pipeline.run_config.STAGES["recogniser"] = TrainingSettings
    assets = [asr_archive, asr_clips, recogniser, asr_evaluation, asr_bundle]
    pipeline.definitions.defs = Definitions(
        assets=assets, jobs=[define_asset_job("asr", assets)], resources={"comet": Comet.configure_at_launch()}
    )
