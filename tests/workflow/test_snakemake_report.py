"""``snakemake --report`` works on a finished run, and no text of a configuration or sheet stands in it as it is."""

import json
import re

import pytest
from tests.workflow.runs import ROOT, succeed
from tests.workflow.test_run import toy

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
HOSTILE = "</script><script>document.title='pwned'</script>"


def test_report_of_snakemake_holds_our_page_and_no_text_of_strangers(tmp_path):
    folder = toy(tmp_path)
    sheet = (folder / "tracks.tsv").read_text().splitlines()
    rows = [f"{line}\t{HOSTILE}\t{HOSTILE}" for line in sheet[1:]]
    (folder / "tracks.tsv").write_text("\n".join([sheet[0] + "\tdescription\tlicence", *rows]) + "\n")
    config = json.loads((folder / "config.yaml").read_text())
    config["genomes"]["toy"]["licence"] = HOSTILE
    config["baselines"] = {"gc": {"kind": "gc", "dataset": "signal", "context_bp": [20]}}
    config["report"] = {"title": HOSTILE}
    (folder / "config.yaml").write_text(json.dumps(config))
    succeed(folder)
    succeed(folder, "--report", "out.html")
    page = (folder / "results/report/index.html").read_text()
    assert page.count("&lt;/script&gt;&lt;script&gt;document.title=&#39;pwned&#39;&lt;/script&gt;") >= 4
    assert HOSTILE not in page
    made = (folder / "out.html").read_text()
    assert "index.html" in made
    assert "one page that needs" in made  # the caption
    assert "pwned" not in made
    assert "Nothing to be done" in succeed(folder, "--dry-run")


def test_only_the_page_is_given_to_the_report_and_its_caption_is_fixed():
    marked = {}
    for path in (ROOT / "rules").glob("*.smk"):
        text = path.read_text()
        marked[path.name] = re.findall(r"\breport\(\s*([^)]*)\)", text)
    found = [call for calls in marked.values() for call in calls]
    assert len(found) == 1 and len(marked["report.smk"]) == 1
    assert re.fullmatch(
        r'"results/report/index\.html",\s*caption="\.\./workflow/report/report\.rst",\s*category="Results",\s*',
        found[0],
    )
    assert not re.search(r"[{}]", (ROOT / "workflow/report/report.rst").read_text())
