"""To see what a network does and how it was trained."""
