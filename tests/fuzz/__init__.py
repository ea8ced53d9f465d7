"""Feeds damaged and hostile input to every door where a stranger's bytes come in."""
