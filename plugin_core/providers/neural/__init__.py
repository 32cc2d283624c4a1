"""Separators on this machine whose weights others have trained: ``--provider neural``."""
