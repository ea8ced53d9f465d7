"""Shows where in a field a network looks for a label, by what the model file alone can be asked."""
