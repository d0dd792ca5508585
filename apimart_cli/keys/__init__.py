"""Keys: what one is, where it comes from, and when somebody repeats it. Loads no library but the keyring, late."""
