"""The first recipe: marker letters, encoder, defect heads, their judgement."""
