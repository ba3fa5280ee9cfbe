"""The recipe `asr` as a pipeline of Vertex AI: train, evaluate, validate, and, if valid, upload and deploy.

python -m deploy.vertex.pipeline --image us-central1-docker.pkg.dev/me/vnyatno/training:1 --out pipeline.yaml
"""

# No `from __future__ import annotations` here: kfp reads the annotations of the pipeline's parameters themselves.
import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from deploy.vertex import components
from deploy.vertex.steps import VALID

NAME = "vnyatno-asr"


@dataclass(frozen=True)
class Resources:
    """What the steps that compute ask for; Vertex AI finds the machine: these are an n1-standard-16's, with one T4.

    Without an `accelerator` they run on processors alone.
    """

    cpu: str = "16"
    memory: str = "60G"
    accelerator: str = "NVIDIA_TESLA_T4"
    accelerators: int = 1

    def ask(self, task: Any) -> Any:
        """A task that asks for them."""
        task = task.set_cpu_limit(self.cpu).set_memory_limit(self.memory)
        if self.accelerator:
            task = task.set_accelerator_type(self.accelerator).set_accelerator_limit(self.accelerators)
        return task


def pipeline(image: str, resources: Resources | None = None) -> Any:
    """The pipeline, with `image` for every step. Its parameters are all that two runs may differ by.

    No step installs anything: the image holds the code and its packages (deploy/vertex/Dockerfile).
    """
    resources = resources or Resources()

    def step(function: Callable[..., Any]) -> Any:
        return dsl.component(function, base_image=image, install_kfp_package=False)

    train, evaluate, validate = step(components.train), step(components.evaluate), step(components.validate)
    upload, deploy = step(components.upload), step(components.deploy)

    @dsl.pipeline(name=NAME, description="Fine-tunes a CTC recogniser and deploys it if its word error rate allows.")
    def asr(
        project: str,
        location: str,
        bucket_uri: str,
        serving_image_uri: str,
        recipe: str,
        num_train_epochs: float,
        max_wer: float,
        hf_token_secret: str = "",
        serving_machine_type: str = "n1-standard-4",
        serving_accelerator: str = "",
        serving_accelerators: int = 0,
    ) -> None:
        """Texts of the parameters: deploy/vertex/README.md."""
        place = {"project": project, "location": location, "bucket_uri": bucket_uri}
        trained = resources.ask(
            train(recipe=recipe, num_train_epochs=num_train_epochs, hf_token_secret=hf_token_secret, **place)
        )
        workspace = trained.outputs["workspace"]
        judged = resources.ask(evaluate(recipe=recipe, max_wer=max_wer, workspace=workspace, **place))
        evaluation = judged.outputs["evaluation"]
        validated = validate(recipe=recipe, max_wer=max_wer, evaluation=evaluation)
        # The only nameless output: kfp's local runner finds no named one in a condition, and takes it for false.
        with dsl.If(validated.outputs["Output"] == VALID, name="deploy-if-valid"):
            uploaded = upload(
                recipe=recipe,
                max_wer=max_wer,
                serving_image_uri=serving_image_uri,
                workspace=workspace,
                evaluation=evaluation,
                **place,
            )
            deploy(
                model=uploaded.output,
                machine_type=serving_machine_type,
                accelerator=serving_accelerator,
                accelerators=serving_accelerators,
                **place,
            )

    return asr


def compile_to(path: Path, image: str, resources: Resources | None = None) -> None:
    """Write the pipeline as YAML that Vertex AI takes."""
    compiler.Compiler().compile(pipeline(image, resources), str(path))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("pipeline.yaml"), help="the file to write")
    parser.add_argument(
        "--image", default=os.environ.get("TRAINING_IMAGE_URI"), help="the steps' image; TRAINING_IMAGE_URI by default"
    )
    asked = parser.parse_args()
    if not asked.image:
        parser.error("--image is missing, and so is the variable TRAINING_IMAGE_URI")
    compile_to(asked.out, asked.image)
    print(f"{asked.out} is compiled")


if __name__ == "__main__":
    main()
