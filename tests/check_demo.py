"""Whether a finished demo found what was planted; exits with 1 and says so if not. ``make demo-check`` runs both."""

import json
import subprocess
import sys

LEAST_AUROC = 0.95
"""Of |effect| of a substitution: functional motif bases (at least 1 bit) against all others, decoys among them."""
LEAST_MARGIN = 0.03
"""Task AUROC of the network over that of the tuned k-mers: below it the grammar would be too easy to need a network."""


def main() -> int:
    done = subprocess.run(["seqmill", "summary", "--json"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    planted = [
        row["auroc"] for row in found["truth"] if row["motif"] == "all motifs" and "other bases" in row["against"]
    ]
    margins = [row["difference"] for row in found["comparisons"] if row["metric"] == "auroc"]
    if not planted or not margins:
        print("the demo has no map with a truth, or no comparison by AUROC", file=sys.stderr)
        return 1
    print(f"planted motif bases: AUROC {min(planted):.3f} (at least {LEAST_AUROC})")
    print(f"network over k-mers: {min(margins):+.3f} (at least {LEAST_MARGIN:+.3f})")
    return int(min(planted) < LEAST_AUROC or min(margins) < LEAST_MARGIN)


if __name__ == "__main__":
    sys.exit(main())
