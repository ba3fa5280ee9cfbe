"""What training and serving share: sound, words, the model, the diagnosis, the bundle.

Nothing here imports Dagster, BentoML or Streamlit, so that a notebook, the pipeline and the service use the same code.
"""
