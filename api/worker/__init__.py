"""From a recording to an answer; alone knows torch."""
