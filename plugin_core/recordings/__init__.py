"""Telling what a song sounds like, whatever file it is in, and remembering it."""
