"""The configuration: typed sections, the track sheet, and the project that joins them."""
