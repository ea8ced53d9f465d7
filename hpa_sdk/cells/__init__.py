"""Finds the cells of a field and answers for each of them."""
