"""Makes bioimage.io packages, for programs that read them."""
