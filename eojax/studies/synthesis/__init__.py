"""Studies of image synthesis: the generators of Table III, and whether synthesis pays."""
