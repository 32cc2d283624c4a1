"""One watched folder: looking through it, holding it, and what is to be done with the songs in it."""
