"""The screen: what standard output and standard error are, and writing to them. The only writer to both."""
