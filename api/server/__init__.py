"""BentoML and uvicorn, as the service needs them."""
