"""One file a command: read the options, call, render. No HTTP, no formatting and no arithmetic in here.

Heavy modules are imported inside the command that needs them, so that no command pays for another.
"""
