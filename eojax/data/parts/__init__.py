"""Which part a place is of: by whole groups, by name, and with or without its label."""
