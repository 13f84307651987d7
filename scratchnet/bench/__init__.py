"""`scratchnet bench`: how long a training step or embedding takes, layer by layer and beside other libraries."""
