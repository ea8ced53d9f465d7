"""Makes a package for programs that read bioimage.io models."""
