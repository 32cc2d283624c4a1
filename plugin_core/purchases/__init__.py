"""What was bought: purchases, what they are found by, where their results lie, and how much may be spent."""
