"""What each base of a sequence contributes to the scores of a network."""
