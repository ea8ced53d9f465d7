"""Shows results to people: one self-contained page, and a contact sheet."""
