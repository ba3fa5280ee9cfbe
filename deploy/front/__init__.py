"""The proxy before everything: HTTPS, one door for pages and service, a password before Dagster."""
