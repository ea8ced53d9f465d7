"""Random interleavings of what is done to files with what is answered from them."""
