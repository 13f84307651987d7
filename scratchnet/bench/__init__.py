"""`scratchnet bench`: how long a training step takes, layer by layer, and beside other libraries."""
