"""Networks from elsewhere: their cards, and every output of the SDK with them."""
