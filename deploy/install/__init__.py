"""Set-up of the virtual environment, by Python's standard library alone: nothing is installed when it runs."""
