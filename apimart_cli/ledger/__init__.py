"""The ledger: what was read before, in a file of this machine. A by-product: it changes no answer and no exit code.

The only importer of sqlite3; imported late, by what needs it.
"""
