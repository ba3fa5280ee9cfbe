"""Recordings of people and of synthesisers, fetched and brought into one form: a recipe a file."""
