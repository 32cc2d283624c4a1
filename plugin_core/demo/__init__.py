"""A small song with known parts: the first thing to separate, and a measure of how well it went."""
