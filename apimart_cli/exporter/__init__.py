"""`exporter`: many balances, asked on their own clock, on a page that Prometheus reads."""
