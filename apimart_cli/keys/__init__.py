"""Keys: what one is, where it comes from, and texts that repeat it. Only the keyring needs a library, loaded late."""
