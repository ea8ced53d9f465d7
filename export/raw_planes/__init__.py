"""Makes the variant that takes raw planes."""
