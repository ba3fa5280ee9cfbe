"""Archives of calls: kept here, judged by the service, and what is made of its answers. Nothing here draws."""
