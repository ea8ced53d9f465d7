"""Tests of the examples in other languages."""
