"""Settings into readings: once, and again and again, with what the ledger adds to them."""
