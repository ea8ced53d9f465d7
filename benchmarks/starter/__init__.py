"""Fits and judges the starter: the small model that the package ships, so that the first minute has real answers."""
