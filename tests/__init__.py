"""Checks what the rooms promise, through their public doors."""
