"""Reads fields from archives that lie elsewhere: in object stores and on web servers."""
