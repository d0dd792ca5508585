"""What is decided about balances: pure functions and records, without I/O, libraries and clocks."""
