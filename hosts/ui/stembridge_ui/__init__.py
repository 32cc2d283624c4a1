"""The page on this machine: ``stembridge ui``."""
