"""Finds fields of view and reads their planes: one reader for each file form, one set of rules for all commands."""
