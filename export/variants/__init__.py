"""What all variants share: the comparison with their parent, the gates, and the fields that judge them."""
