"""The pieces that methods for pixels share."""
