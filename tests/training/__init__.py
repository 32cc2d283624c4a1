"""Makes the weights of the network anew; run by hand, in no wheel (README.md)."""
