"""Makes the variant with Winograd convolutions, for CPUs."""
