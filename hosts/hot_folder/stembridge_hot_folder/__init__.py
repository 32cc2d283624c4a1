"""The hot folder: drop a song, find its stems beside it."""
