"""What people say about answers: the log of their reviews, what follows from it, and data sets made of it."""
