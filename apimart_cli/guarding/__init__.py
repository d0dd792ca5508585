"""`run`: a command under a guard, from the first look to the last."""
