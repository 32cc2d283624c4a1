"""What can be done to a source, as ``jobs.work.Work``: separations, and taggings beside them."""
