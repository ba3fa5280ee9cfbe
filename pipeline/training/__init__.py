"""What is trained and how. No Dagster in it: notebooks call the same functions."""
