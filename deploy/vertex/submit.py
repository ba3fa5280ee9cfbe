"""Compile the pipeline and start it on Vertex AI.

python -m deploy.vertex.submit                     # .env in this folder, configs/asr.yaml
python -m deploy.vertex.submit --env my.env --config my.yaml --service-account trainer@me.iam.gserviceaccount.com
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.run_config import RunConfigError, read_run_config
from deploy.vertex import cloud
from deploy.vertex.pipeline import NAME, compile_to
from deploy.vertex.variables import Variables, VariablesError, read_variables
from speech.home import code_folder

DEFAULT_CONFIG = code_folder() / "configs" / "asr.yaml"


def submit(variables: Variables, config: Path, service_account: str | None = None) -> Any:
    """Start a run with the settings of `config`; the job, which goes on without this process.

    The Hugging Face token goes into Secret Manager; pipeline and job hold the name of that secret alone. Raises
    `RunConfigError` for a configuration that cannot be read, `cloud.CloudError` where the secret cannot be kept.
    """
    from google.cloud import aiplatform

    read_run_config(config)
    cloud.connect(variables.place)
    secret = cloud.keep_token(variables.place.project, variables.token) if variables.token else ""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "pipeline.yaml"
        compile_to(template, variables.training_image)
        job = aiplatform.PipelineJob(
            display_name=NAME,
            template_path=str(template),
            pipeline_root=f"{variables.place.bucket_uri}/vnyatno/pipeline",
            parameter_values={
                "project": variables.place.project,
                "location": variables.place.location,
                "bucket_uri": variables.place.bucket_uri,
                "serving_image_uri": variables.serving_image,
                "recipe": config.read_text(encoding="utf-8"),
                "num_train_epochs": variables.epochs,
                "max_wer": variables.max_wer,
                "hf_token_secret": secret,
            },
            enable_caching=False,  # equal parameters do not mean equal data: a dataset's newest revision moves
        )
    job.submit(service_account=service_account)
    return job


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, default=Path(".env"), help="the file with the variables")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="the run configuration")
    parser.add_argument("--service-account", help="whom the steps run as; the project's default one if left out")
    asked = parser.parse_args()
    try:
        job = submit(read_variables(asked.env), asked.config, asked.service_account)
    except (VariablesError, RunConfigError, cloud.CloudError) as error:
        sys.exit(f"error: {error}".replace("\n", "\nerror: "))
    print(f"{job.resource_name} is started; its graph: {job._dashboard_uri()}")


if __name__ == "__main__":
    main()
