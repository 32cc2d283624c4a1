"""The REAPER host: the actions inside REAPER, the worker they start, and what sets both up."""
