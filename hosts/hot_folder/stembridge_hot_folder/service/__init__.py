"""The watch as a service of the system."""
