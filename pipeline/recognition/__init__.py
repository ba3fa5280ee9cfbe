"""The second recipe: a speech recogniser fine-tuned on recordings with texts. Imports no Dagster."""

MODEL = "model"  # folder of the stage `recogniser` that holds the model as Hugging Face has it
