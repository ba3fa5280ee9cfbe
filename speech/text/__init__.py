"""Languages as data: letters, labels, normalisation."""
