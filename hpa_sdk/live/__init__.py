"""The page at the microscope, and the interface for programs that it stands on."""
