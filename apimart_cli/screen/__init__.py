"""The screen: what standard output and standard error are, and writing to them. No other package writes to them."""
