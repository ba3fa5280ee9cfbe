"""What this machine can compute on, and what a card that fails needs."""
