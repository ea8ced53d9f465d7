"""Reads fields from remote archives: object stores and web servers."""
