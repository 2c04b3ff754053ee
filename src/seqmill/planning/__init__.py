"""What will be built, what it costs, and what a change would make again."""
