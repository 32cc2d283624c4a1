"""Audio files: probing, decoding and encoding in blocks, and the formats stems are written in."""
