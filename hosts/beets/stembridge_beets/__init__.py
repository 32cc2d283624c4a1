"""The beets host of stembridge."""
