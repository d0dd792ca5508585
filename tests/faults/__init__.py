"""The fault catalogue: what a broken or hostile gateway may send, and the exit code that each of it must get.

`server` sends bytes over raw sockets, `catalogue` lists what it sends, `leaks` finds the key in an output. None of them
shares code with the client.
"""
