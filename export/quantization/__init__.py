"""Makes the int8 variant."""
