"""The defect model, from samples to a recording's verdict."""
