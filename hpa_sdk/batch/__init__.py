"""Answers a great many fields, so that a stop at any point loses nothing and a result tells how it was made."""
