"""What the stembridge actions of REAPER share. ASCII and standard library only, Python 3.8 and later."""
