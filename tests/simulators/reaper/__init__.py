"""A REAPER that was never one: projects in memory, behind a ``reaper_python`` with the true one's calling rules.

Standard library only and Python 3.8, so that the scripts can be run by the oldest interpreter they support.
"""
