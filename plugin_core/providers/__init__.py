"""Separators, taggers and stagers that come with stembridge; one folder a service, each an ordinary plugin."""
