"""One song at work, from its first look to its end."""
