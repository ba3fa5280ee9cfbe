"""Tables and file names as people write them; the standard library alone."""
