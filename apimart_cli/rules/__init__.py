"""What is decided about balances: without input and output, libraries and clocks."""
