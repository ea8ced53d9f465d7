"""Tests of finding and reading fields."""
