"""Common parts of all variants: comparison with the parent, speed, gates, and writing."""
