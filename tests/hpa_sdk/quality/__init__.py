"""Quality: measures of the planes, their limits, and where warnings show."""
