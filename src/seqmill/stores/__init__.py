"""One file per noun: its layout on disk, how it is written, opened and verified. No jax."""
