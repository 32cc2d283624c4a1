"""The embedded separator: four stems on the user's own machine, with no account, no model file and no download."""
