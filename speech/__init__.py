"""What training and serving share: sound, words, the model, the diagnosis, the bundle.

Nothing here imports Dagster, BentoML or Streamlit, so that a notebook, the pipeline and the service use the same code.
"""

import os

# onnxruntime, from 1.29 on, tells its maker of the models that are run, and keeps a file and a thread for it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
