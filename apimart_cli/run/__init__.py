"""`run`: a command under a guard: the look before it, the watch while it runs, and the account after it."""
