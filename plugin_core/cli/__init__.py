"""The command line: one file a command; the entry imports only the module of the command that is called."""
