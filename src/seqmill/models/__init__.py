"""Networks: blocks, heads, one file an architecture, and the registry that finds them."""
