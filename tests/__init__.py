"""Checks the promises of the packages through their public interfaces."""
