"""Fits a network by a recipe and writes its run folder."""
