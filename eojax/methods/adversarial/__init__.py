"""What methods share that train two networks against each other."""
