"""`run`: a command under a guard, before it, beside it and after it."""
