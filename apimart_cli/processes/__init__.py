"""Processes: signals, threads, and the commands that apimart starts for the user."""
