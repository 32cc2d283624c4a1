"""MVSEP: the whole service at mvsep.com, its catalogue of models, and the separator for jobs."""
