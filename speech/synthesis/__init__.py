"""What speaks for training: espeak-ng."""
