"""A pipeline of two stages that stands in for the real one: its code location loads in a second.

The stage `archive` fails or sleeps as its configuration says; both log lines and give metadata as the real ones do.
"""

import time

import dagster as dg


class ArchiveError(ValueError):
    """What a stage raises for a user's mistake."""


class ArchiveConfig(dg.Config):
    sources: list[str]
    fail: bool = False
    seconds: float = 0.0


@dg.asset
def archive(context: dg.AssetExecutionContext, config: ArchiveConfig) -> dg.MaterializeResult:
    if config.fail:
        try:
            raise OSError("No such file or directory")
        except OSError as error:
            raise ArchiveError(f"{config.sources[0]}: there is no such file; check the path") from error
    for second in range(int(config.seconds)):
        context.log.info(f"waiting: {second} of {config.seconds:.0f} s")
        time.sleep(1)
    context.log.info("archive: 1 of 1 files")
    return dg.MaterializeResult(metadata={"bundle_id": "toy-1", "macro_f1": 0.75, "clips": 12})


@dg.asset(deps=[archive])
def evaluation(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("evaluating")
    examples = dg.MetadataValue.json([{"class": "burr"}])
    return dg.MaterializeResult(
        metadata={"example_clip": dg.MetadataValue.path("/nowhere/clip.wav"), "examples": examples}
    )


train = dg.define_asset_job("train", selection=[archive, evaluation])
defs = dg.Definitions(assets=[archive, evaluation], jobs=[train])
