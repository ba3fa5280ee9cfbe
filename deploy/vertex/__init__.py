"""Training, gate and deployment of the recipe `asr` on Google Vertex AI; README.md beside this says how."""
