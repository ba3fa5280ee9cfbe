"""The second recipe: a speech recogniser fine-tuned on recordings with texts. Imports no Dagster."""
