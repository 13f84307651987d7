"""What a network does, and how it was trained, to look at."""
