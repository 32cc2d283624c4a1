"""Simulated services: real HTTP servers on loopback, as strict and as odd as the services themselves.

``server`` has the base and its use, ``faults`` what can go wrong, ``control`` and ``process`` the use from elsewhere.
"""
