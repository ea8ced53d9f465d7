"""Tests of the cells of a field."""
