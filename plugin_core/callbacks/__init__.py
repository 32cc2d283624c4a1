"""Hearing from services that a job ended: a call only makes us ask at once, and nothing in it is believed."""
