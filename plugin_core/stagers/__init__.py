"""Places where services that only take links can read a file: a bucket, or a folder behind a web server."""
