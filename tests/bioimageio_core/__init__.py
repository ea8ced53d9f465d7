"""Checks of a package with the library of bioimage.io itself; run by ``make test-bioimageio``."""
