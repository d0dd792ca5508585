"""`doctor`: looks at everything that an answer depends on, and says of each thing what is wrong and what to do."""
