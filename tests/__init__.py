"""Checks what the packages promise, through their public doors."""
