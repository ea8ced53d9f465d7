"""Makes the form of a file that takes raw planes."""
