"""Commands of the Makefile: rollback, publication, audit."""
