"""The one place of the version; read by the build, the command line and provenance fields."""

__version__ = "0.1.0"
