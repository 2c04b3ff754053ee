"""The whole workflow on hg38_mini, hg19_chr1 and yeast, with maps and variants, each to its report.

Goes on with what is there (make real-hg38_mini and its like train the same networks). The pages are left in
benchmarks/output/{name}/results/report/index.html, beside them screenshots on a desk and on a phone where chromium is
installed. Reads SEQMILL_TEST_DATA.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from common import write_result
from runs import OUTPUT, need_data, run_workflow

CONFIGS = ("hg38_mini", "hg19_chr1", "yeast")
GOAL_BYTES = 15_000_000
WIDTHS = {"desk": 1280, "phone": 390}
HEIGHT = 16_000


def screenshots(page: Path) -> list[str]:
    """Pictures of the page, beside it; none without chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return []
    made = []
    for name, width in WIDTHS.items():
        picture = page.with_name(f"{name}.png")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},{HEIGHT}"]
        subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
        made.append(picture.name)
    return made


def report(config: str, cores: int) -> dict[str, Any]:
    work = OUTPUT / config
    work.mkdir(parents=True, exist_ok=True)
    seconds = run_workflow(config, work, cores)
    page = work / "results/report/index.html"
    text = page.read_text()
    return {
        "config": f"benchmarks/real/{config}.yaml", "seconds": round(seconds), "bytes": len(text.encode()),
        "sections": re.findall(r'<h2 id="([^"]+)"', text), "figures": text.count("<img "),
        "maps": sum(1 for _ in (work / "results/maps").glob("*.zarr")) if (work / "results/maps").exists() else 0,
        "screenshots": screenshots(page),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", default=list(CONFIGS), metavar="CONFIG", help=", ".join(CONFIGS))
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    need_data()
    rows = []
    for config in options.configs:
        rows.append(report(config, options.cores))
        print(f"{config}: {rows[-1]['bytes'] / 1e6:.1f} MB, {rows[-1]['figures']} figures, {rows[-1]['seconds']} s")
    worst = max(row["bytes"] for row in rows)
    write_result("real_reports", worst, "bytes of the largest page", f"<= {GOAL_BYTES}", len(rows), rows)


if __name__ == "__main__":
    main()
