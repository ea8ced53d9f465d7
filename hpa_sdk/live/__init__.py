"""The live page at the microscope, and the HTTP interface for programs that it is built on."""
