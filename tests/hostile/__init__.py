"""What a broken or hostile gateway may answer, and an opinion of it that shares no code with the project."""
