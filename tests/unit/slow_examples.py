"""Slow, plain references for dataset values. Nothing here imports seqmill."""

import math


def label(low, high, peaks, contig, min_overlap, overlap_of):
    """1 if the label region [low, high) overlaps peaks (contig, start, end, summit) enough, base by base."""
    covered = set()
    best_peak = 0.0
    for peak_contig, start, end, _ in peaks:
        if peak_contig == contig:
            shared = range(max(start, low), min(end, high))
            covered.update(shared)
            best_peak = max(best_peak, len(shared) / (end - start))
    of_label = len(covered) / (high - low)
    share = {"label": of_label, "peak": best_peak, "either": max(of_label, best_peak)}[overlap_of]
    return int(share >= min_overlap - 1e-12 and share > 0)


def bin_value(bases, aggregate, missing):
    """Value of a bin of bases (None without data), as the gap rules state; None if there is no value."""
    if missing == "zero":
        values = [0.0 if base is None else base for base in bases]
    else:
        values = [base for base in bases if base is not None]
    if not values:
        return None
    return {"mean": lambda v: sum(v) / len(v), "sum": sum, "max": max, "min": min}[aggregate](values)


def coarser(values, aggregate, missing):
    """Bins of a track to one bin: those without a value are left out."""
    values = [value for value in values if value is not None]
    return bin_value(values, aggregate, "nan") if values else None


def constants(value, transform, clip_soft, clip, scale):
    """The sheet's constants in their order."""
    if value is None:
        return math.nan
    if transform == "sqrt":
        value = -1 + math.sqrt(1 + value)
    elif transform == "log1p":
        value = math.log(1 + value)
    if clip_soft is not None and value > clip_soft:
        value = clip_soft - 1 + math.sqrt(value - clip_soft + 1)
    if clip is not None:
        value = max(-clip, min(clip, value))
    return scale * value


def extents_of_folds_overlap(rows, margin):
    """Whether two rows (genome, contig, start, end, fold) of different folds share a base, pair by pair."""
    for i, a in enumerate(rows):
        for b in rows[:i]:
            same = a[0] == b[0] and a[1] == b[1] and a[4] != b[4]
            if same and a[2] - margin < b[3] + margin and b[2] - margin < a[3] + margin:
                return True
    return False


def merge_peaks(peaks, size, window, overlap):
    """Basset's merging as published: the quadratic search. peaks: (start, end, track); returns (start, tracks)."""
    entries = []
    for start, end, track in peaks:
        left = max(0, (start + end) // 2 - window // 2)
        if left + window > size:
            left = size - window
        entries.append([left, {track}])
    entries.sort(key=lambda entry: (entry[0], sorted(entry[1])))
    runs, current, reach = [], [], 0
    for entry in entries:
        if current and reach - overlap <= entry[0]:
            runs.append(current)
            current = []
        reach = max(reach, entry[0] + window) if current else entry[0] + window
        current.append(entry)
    runs.append(current)
    found = {}
    for run in runs:
        while len(run) > 1:
            overlaps = [run[i][0] + window - run[i + 1][0] for i in range(len(run) - 1)]
            largest = max(overlaps)
            if largest < overlap:
                break
            i = overlaps.index(largest)
            (left_a, tracks_a), (left_b, tracks_b) = run[i], run[i + 1]
            mid_a, mid_b = (2 * left_a + window) // 2, (2 * left_b + window) // 2
            weight_a, weight_b = 1 + len(tracks_a), 1 + len(tracks_b)
            middle = int(0.5 + (mid_a * weight_a + mid_b * weight_b) / (weight_a + weight_b))
            left = max(0, middle - window // 2)
            if left + window > size:
                left = size - window
            run[i : i + 2] = [[left, tracks_a | tracks_b]]
        for left, tracks in run:
            found[left] = found.get(left, set()) | tracks
    return sorted(found.items())
