"""Datasets: which windows, which labels, which negatives, which split, and the audit that nothing leaks.

`seqmill.examples.build` has what jobs call: `build_rows`, `build_input`, `build_target`, `finish`, `input_names`.
"""
