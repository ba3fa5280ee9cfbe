"""The pipeline's steps as Kubeflow runs them: functions whose source text travels in the compiled pipeline.

So each imports inside its body what it needs, from the image that it runs in, and names no type but Kubeflow's.
What they do stands in `steps` and `cloud`.
"""

# No `from __future__ import annotations` here: kfp reads the annotations themselves.
from kfp import dsl


def train(
    recipe: str,
    num_train_epochs: float,
    hf_token_secret: str,
    project: str,
    location: str,
    bucket_uri: str,
    workspace: dsl.Output[dsl.Artifact],
) -> None:
    """Fetch the data, read and split it, fine-tune; the stages' outputs are the step's."""
    import os
    from pathlib import Path

    from deploy.vertex import cloud, steps

    if hf_token_secret:
        os.environ["HF_TOKEN"] = cloud.read_token(hf_token_secret)
    place = cloud.Place(project, location, bucket_uri)
    steps.train(steps.read_run_config(recipe, num_train_epochs), place, Path(workspace.path))


def evaluate(
    recipe: str,
    max_wer: float,
    project: str,
    location: str,
    bucket_uri: str,
    workspace: dsl.Input[dsl.Artifact],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Word error rate on the test clips, beside the version that the Model Registry serves by default."""
    from pathlib import Path

    from deploy.vertex import cloud, steps

    place = cloud.Place(project, location, bucket_uri)
    figures = steps.evaluate(
        steps.read_run_config(recipe, max_wer=max_wer), Path(workspace.path), place, Path(evaluation.path)
    )
    for name, value in steps.shown(figures).items():
        metrics.log_metric(name, value)
    Path(report.path).write_text(steps.report(Path(evaluation.path)), encoding="utf-8")


def validate(
    recipe: str, max_wer: float, evaluation: dsl.Input[dsl.Artifact], reasons: dsl.Output[dsl.Markdown]
) -> str:
    """The gate: `valid` or `invalid`; the reasons hold a sentence a condition."""
    from pathlib import Path

    from deploy.vertex import steps

    result = steps.validate(steps.read_run_config(recipe, max_wer=max_wer), Path(evaluation.path))
    Path(reasons.path).write_text("".join(f"- {reason}\n" for reason in result.reasons), encoding="utf-8")
    print(result.outcome, *result.reasons, sep="\n")
    return result.outcome


def upload(
    recipe: str,
    max_wer: float,
    project: str,
    location: str,
    bucket_uri: str,
    serving_image_uri: str,
    workspace: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
) -> str:
    """Write the bundle, which checks the gate again, copy it to the bucket and register it; the version's name."""
    from pathlib import Path

    from deploy.vertex import cloud, steps

    return steps.upload(
        steps.read_run_config(recipe, max_wer=max_wer),
        Path(workspace.path),
        Path(evaluation.path),
        cloud.Place(project, location, bucket_uri),
        serving_image_uri,
    )


def deploy(
    project: str,
    location: str,
    bucket_uri: str,
    model: str,
    machine_type: str,
    accelerator: str,
    accelerators: int,
) -> str:
    """Put the version into service on the endpoint; the endpoint's name."""
    from deploy.vertex import cloud

    cloud.connect(cloud.Place(project, location, bucket_uri))
    return cloud.deploy(model, cloud.Machine(machine_type, accelerator, accelerators)).resource_name
