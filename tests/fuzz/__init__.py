"""Feeds damaged and hostile input to every entry point for untrusted bytes."""
