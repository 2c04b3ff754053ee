"""From reads to tracks: trimming, alignment, filters, signal, peaks, replicates and their quality. No jax."""
