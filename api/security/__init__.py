"""Keys, peers and rates; loads no torch."""
