"""One module for each step; their order is told by ``down_revision``."""
