"""Asset `bundle`: through the gate, into a folder, into service."""

from collections.abc import Iterator

from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.publishing import Evaluated, check_specs, identity_of, put_into_service
from pipeline.assets.stage import POOL, Stage
from pipeline.bundling.plan import BundlePlan
from pipeline.launchpad import BundleConfig, form, settings_of

VERSION = 11  # raised when equal inputs and settings give another output
CHECKS = ("minimum_macro_f1", "no_class_at_zero", "class_floors", "not_worse_than_champion")


@asset(
    group_name="judgement",
    deps=["clips", "markers", "heads", "calibration", "evaluation"],
    code_version=str(VERSION),
    config_schema=form(BundleConfig, "bundle"),
    check_specs=check_specs("bundle", CHECKS),
    pool=POOL,
)
def bundle(context: AssetExecutionContext) -> Iterator[AssetCheckResult | MaterializeResult]:
    """The bundle that the service loads; the gate's conditions as checks. A model that the gate refuses leaves no
    bundle and the service as it was."""
    from pipeline.defects.calibration import load_calibration
    from pipeline.defects.corpus import Corpus
    from pipeline.defects.publication import make_bundle
    from pipeline.defects.weights import read_spec

    config = settings_of(context, BundleConfig)
    stage = Stage(context, "bundle")
    source, counted, trained = stage.after("clips"), stage.after("markers"), stage.after("heads")
    calibrated, evaluated = stage.after("calibration"), stage.after("evaluation")
    found = Evaluated.read(evaluated, config.gate.max_regression)
    keys = {output.stage: output.key for output in (source, counted, trained, calibrated)}
    plan = BundlePlan(
        id=f"defects-{identity_of(VERSION, keys, config)}",
        run=context.run.run_id,
        gate=config.gate,
        lineage=keys | {"evaluation": evaluated.key},
    )

    def make() -> None:
        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        applied = load_calibration(calibrated.folder, read_spec(trained.folder)).calibration
        names = counted.summary["class_names"]
        make_bundle(
            stage.home, plan, trained.folder, corpus, found.metrics, found.answers, applied, config, names, stage.say
        )

    yield from put_into_service(stage, plan, found, config, {"macro_f1": found.metrics["macro_f1"]}, make)
