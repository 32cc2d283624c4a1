"""Tencent MediaX: mood, genre, language and more of a song, heard by the service."""
