"""Reports on results: one self-contained page, and a contact sheet."""
