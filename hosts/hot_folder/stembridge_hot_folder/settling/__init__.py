"""Whether a file is complete, and which version of it."""
