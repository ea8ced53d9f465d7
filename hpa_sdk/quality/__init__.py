"""Measures whether a field looks like those that a network was trained on, and says what does not."""
