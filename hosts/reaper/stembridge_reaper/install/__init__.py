"""Setting REAPER up from outside, while it is closed: scripts, actions and Python, and all of it back again."""
