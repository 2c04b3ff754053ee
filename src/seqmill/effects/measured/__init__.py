"""Measured effects beside what a network and simple baselines predict of them."""
