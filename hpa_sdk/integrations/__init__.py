"""Places inside other programs where a field can be classified; each is imported by its own program alone."""
