"""Processes: signals, and the commands that apimart starts for the user. No library but the standard one."""
