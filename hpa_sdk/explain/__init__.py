"""Shows which parts of a field a network uses for a label; needs only the model file."""
