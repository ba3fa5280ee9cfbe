"""Immutable model folders, the gate, transfer to other machines."""
