"""`watch`: balances as they change, and how they are shown."""
