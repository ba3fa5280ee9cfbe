"""Which bundle serves: pointer, history, inventory, drift."""
