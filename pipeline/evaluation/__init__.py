"""How good a model is on clips it has not seen: predictions, figures, pictures, the champion beside it."""
