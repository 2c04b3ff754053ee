"""The report on reads: what it says is what the nouns hold, the worst first, and no name in it can do anything."""

import base64
import re

import pytest
from tests.unit.quality_examples import atac, chip, rna, row, write_qualities, write_quality
from tests.unit.report_payloads import PAYLOADS, poisoned
from tests.unit.test_report_page import Skeleton

from seqmill.config.models import Report
from seqmill.report import reads
from seqmill.report.page import gather, render, write_report
from seqmill.report.reads import gather_reads
from seqmill.report.reads_methods import processing
from seqmill.runtime.errors import DamageError
from seqmill.stores.layout import noun_folder

pytestmark = pytest.mark.slow


def section(page: str, name: str) -> str:
    return re.search(f'<section aria-labelledby="{name}">.*?</section>', page, re.DOTALL)[0]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html)).strip()


@pytest.fixture(scope="module")
def qualities(tmp_path_factory):
    return write_qualities(tmp_path_factory.mktemp("reads") / "results")


@pytest.fixture(scope="module")
def page(tmp_path_factory, report_nouns, qualities):
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_report(path, report=Report(title="Reads"), **report_nouns, qualities=qualities)
    return path.read_text()


def test_without_experiments_there_is_no_section(tmp_path, report_nouns):
    write_report(tmp_path / "index.html", report=Report(title="None"), **report_nouns)
    text = (tmp_path / "index.html").read_text()
    assert 'id="reads"' not in text and "#reads" not in text and "experiment" not in plain(section(text, "methods"))


def test_overview_has_the_worst_first_with_levels_in_words(page):
    found = section(page, "reads")
    table = re.search(r'aria-label="Quality of experiments">(.*?)</table>', found, re.DOTALL)[1]
    head = [plain(cell) for cell in re.findall(r"<th scope=\"col\".*?</th>", table)]
    lines = [[plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", line)] for line in table.split("<tr>")[2:]]
    assert [line[:4] for line in lines] == [
        ["old ATAC", "poor", "ATAC-seq", "2"],
        ["CTCF", "warning", "ChIP-seq CTCF", "1"],
        ["K562 ATAC", "good", "ATAC-seq", "2"],
        ["yeast", "good", "RNA-seq", "2"],
    ]
    assert head[4:10] == ["usable depth", "mapped", "NRF", "FRiP", "TSS enrichment", "NSC"]
    assert lines[0][4:10] == [
        "8,400,000error", "87.1 %warning", "0.44not compliant", "6 %not compliant", "2.7×not compliant", "–",
    ]  # fmt: skip
    assert lines[1][4:10] == ["17,300,000warning", "96 %", "0.86", "8.3 %", "–", "1.31"]
    assert lines[3][4:10] == ["900,000", "–", "–", "–", "–", "–"]  # a small genome: depth is not judged
    assert "By ENCODE’s limits, of 4 experiments 1 is poor, 1 is usable with a warning, 2 are good." in (
        plain(section(page, "summary"))
    )


def test_findings_say_what_it_does_to_training_once_for_each_cause(page):
    text = plain(section(page, "reads"))
    assert (
        "not compliant, replicate 1: NRF is 0.44: the library holds few different molecules, and much of the "
        "sequencing repeated what was there. Also replicate 2: 0.44. "
        "Limits: not compliant below 0.7, warning below 0.9 (ENCODE)."
    ) in text
    assert text.count("In training: Where copies are kept") == 1  # NRF, PBC1 and PBC2 together
    assert text.count("the network learns GC content and mappability") == 1  # TSS enrichment and FRiP together
    assert text.index("usable depth is 8,400,000") < text.index("NRF is 0.44") < text.index("mapped is 87.1 %")
    assert "K562 ATACgood · ATAC-seq, 2 replicates. Nothing is beyond a limit." in re.sub(r" ?(good) ", r"\1 ", text)
    assert "Not measured: rescue ratio (one replicate only)." in text


def test_figures_are_those_of_the_noun_with_words_for_those_who_do_not_see_them(page, qualities):
    images = re.findall(r'<img src="(data:image/png;base64,[^"]+)" alt="([^"]+)">', section(page, "reads"))
    drawn = sorted(
        "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        for folder in qualities
        for path in folder.glob("*.png")
    )
    assert sorted(source for source, _ in images) == drawn
    assert len(images) == 3 + 3 + 1
    assert images[0][1] == "Fragment sizes of old ATAC; the table below gives the numbers."


def test_every_number_and_limit_is_there(page, qualities):
    found = section(page, "reads")
    text = plain(found)
    assert found.count('<td class="n">31 %</td>') == 4  # adapters, two replicates each
    assert "limits are for replicates" in text and "this one has 12.2 Mb" in text
    for words in ("ATAC-seq", "ChIP-seq of factors and narrow marks", "RNA-seq"):
        assert f'aria-label="Limits of {words}"' in found
    limits = re.search(r'aria-label="Limits of ATAC-seq">(.*?)</table>', found, re.DOTALL)[1]
    lines = [[plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", line)] for line in limits.split("<tr>")[2:]]
    by_metric = {line[0]: line[2:] for line in lines}
    assert by_metric["usable depth"] == ["&lt; 15,000,000", "&lt; 20,000,000", "&lt; 25,000,000", "ENCODE"]
    assert by_metric["mapped"] == ["–", "&lt; 80 %", "≤ 95 %", "ENCODE"]
    assert by_metric["rescue ratio"] == ["–", "–", "≥ 2", "ENCODE"]
    assert {"TSS enrichment, GRCh38", "TSS enrichment, mm10", "reproducible peaks by IDR"} <= set(by_metric)


def test_page_is_well_formed(page):
    skeleton = Skeleton(page)
    assert skeleton.open == []
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert re.findall(r'<h2 id="([^"]+)"', page) == re.findall(r'<li><a href="#([^"]+)"', page)
    assert "<p>4 experiments · " not in page and "4 experiments · " in page


def test_hostile_strings_leave_the_elements_as_they_are(qualities):
    found = gather_reads(qualities, [], [])
    for item in found["experiments"]:
        for figure in item["figures"]:
            figure["source"] = "data:image/png;base64,AA=="  # short
    calm = Skeleton(_page(found)).tags
    for payload in PAYLOADS:
        skeleton = Skeleton(_page(poisoned(found, payload)))
        assert skeleton.tags == calm, payload
        assert {address.split(":")[0] for address in skeleton.addresses if address[0] != "#"} == {"data"}


def _page(found) -> str:
    base = {
        "title": "x", "version": "1", "headlines": [], "datasets": [], "networks": [], "evaluations": [], "maps": [],
        "searches": [], "curves": [], "truths": [], "variants": [], "motifs": [], "methods": [], "max_lines": 300,
        "reads": found, "measured": [],
        "sources": {key: [] for key in ("genomes", "tracks", "absent", "published", "fetched", "reads", "read_files")},
        "record": {"lines": [], "hidden": 0, "seconds": 0, "versions": {}, "machines": []},
    }  # fmt: skip
    return render(base)


def test_hostile_names_in_the_noun_itself(tmp_path):
    name = " ".join(PAYLOADS[:-1])
    folder = write_quality(tmp_path / "quality/x", name, chip(target=name))
    found = section(_page(gather_reads([folder], [], [])), "reads")
    tags = {tag for tag, *_ in Skeleton(found).tags}
    assert not tags & {"script", "iframe", "svg", "a", "base", "meta", "link", "form", "input"}
    assert "&lt;script&gt;" in found


def test_only_the_worst_are_drawn_where_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(reads, "MAX_DRAWN", 1)
    folders = [
        write_quality(tmp_path / "quality/a", "a", chip()),
        write_quality(tmp_path / "quality/b", "b", atac(good=False)),
        write_quality(tmp_path / "quality/c", "c", rna()),
    ]
    found = gather_reads(folders, [], [])["experiments"]
    assert [(item["name"], len(item["figures"]), item["undrawn"]) for item in found] == [
        ("b", 3, False), ("c", 0, False), ("a", 0, True),
    ]  # fmt: skip
    page = section(_page(gather_reads(folders, [], [])), "reads")
    assert page.count("Its figures are in its folder") == 1


def test_one_experiment_that_nothing_judges(tmp_path):
    only = {"assay": "mnase", "target": "", "rows": [row("depth", "1", 5)], "absent": []}
    found = gather_reads([write_quality(tmp_path / "quality/m", "m", only)], [], [])
    assert found["sentence"] == "By ENCODE’s limits, the quality of the one experiment is: not judged."
    assert found["limits"] == [] and found["experiments"][0]["tone"] == "even"


def test_a_changed_figure_is_refused(tmp_path):
    folder = write_quality(tmp_path / "quality/a", "a", chip())
    path = folder / "cross_correlation.png"
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DamageError, match="content changed"):
        gather_reads([folder], [], [])


def library(folder, name, *, settings=None, programs=None, **attrs):
    known = {"assay": "atac", "paired": True, "source": "fastq", "aligner": "bowtie2", "duplicates": "removed"}
    settings = {"mapq_min": 30, "max_fragment_bp": 2000} if settings is None else settings
    counts = {"excluded_by_contig": {"chrM": 10, "MT": 0}}
    with noun_folder(folder, noun="library", label=name, parameters=settings, packages=()) as (_, out, record):
        files = [{"file": "<b>r</b>.fq.gz", "bytes": 9, "sha256": "ab" * 32}]
        out |= known | {"counts": counts, "files": files} | attrs
        record["programs"] = {"bowtie2": "2.5.0", "samtools": "1.16.1"} if programs is None else programs
        record["versions"] = {"cutadapt": "5.2"}
    return folder


def experiment(folder, name, libraries, settings, **attrs):
    inputs = {f"libraries/{path.name}": "0" for path in libraries}
    parameters = {"settings": settings}
    with noun_folder(folder, noun="experiment", label=name, inputs=inputs, parameters=parameters, packages=()) as (
        _,
        out,
        _record,
    ):
        out |= {"assay": "atac", "replicates": [1], "control": []} | attrs
    return folder


ATAC = {"plus_shift": 4, "minus_shift": -5, "peak_p": 0.01, "reproducibility": "overlap", "idr_max": 0.05}


def test_methods_tell_programs_filters_and_shift(tmp_path):
    made = [library(tmp_path / f"libraries/{name}.1", f"{name}.1") for name in ("a", "b")]
    shared = {"shift": {"1": [4, -5]}, "macs": {"macs2": "2.2.7.1"}, "reproducibility": {"method": "overlap"}}
    experiments = [
        experiment(tmp_path / f"experiments/{name}", name, [path], ATAC, **shared) for name, path in zip("ab", made)
    ]
    assert processing(experiments, made) == [
        "Experiments a, b: Adapters were cut from pairs with cutadapt 5.2; they were aligned with bowtie2 2.5.0. Of "
        "pairs, those with a mapping quality of at least 30 were kept, properly paired within 2,000 bp, without those "
        "on chrM (samtools 1.16.1); duplicates were removed. Cut sites are 5′ ends, +4 bp on the + and −5 bp on the − "
        "strand. Peaks were called with macs2 2.2.7.1 at p ≤ 0.01; reproducible ones are found again, by half of "
        "either peak, in both halves of the data."
    ]
    assert processing(experiments, [])[0].startswith("Experiments a, b: Cut sites are 5′ ends")
    assert processing([], made) == []


def test_methods_tell_shifts_that_files_had(tmp_path):
    made = [
        library(tmp_path / f"libraries/a.{number}", f"a.{number}", source="fragments", settings={}, programs={})
        for number in (1, 2)
    ]

    def sentence(shift, name):
        path = tmp_path / f"experiments/{name}"
        return processing([experiment(path, "a", made, ATAC, shift=shift, replicates=[1, 2])], made)[0]

    assert sentence({"1": [0, 0], "2": [0, 0]}, "x") == (
        "Experiment a: Fragments were taken from fragment files as they are. Cut sites are 5′ ends, +4 bp on the + and "
        "−5 bp on the − strand, as the files had them already: nothing was moved."
    )
    assert sentence({"1": [4, -5], "2": [0, -1]}, "y").endswith(
        "what files had already was not moved again (replicate 1 by +4 and −5, replicate 2 by +0 and −1)."
    )


def test_methods_of_chip_with_a_control(tmp_path):
    reads = {"assay": "chip", "paired": False, "source": "bam", "aligner": "", "duplicates": "kept"}
    own = library(tmp_path / "libraries/c.1", "c.1", settings={"mapq_min": 20}, **reads)
    control = library(tmp_path / "libraries/input.1", "input.1", settings={"mapq_min": 1}, **reads)
    made = experiment(
        tmp_path / "experiments/c", "c", [own, control], {"peak_p": 0.001, "idr_max": 0.05}, assay="chip",
        control=["input.1"], paired={"1": False}, fragment_bp={"pooled": 180}, macs={"macs3": "3.0.4"},
        reproducibility={"method": "idr"}, replicates=[1, 2],
    )  # fmt: skip
    assert processing([made], [own, control]) == [
        "Experiment c: Alignments of single reads were taken as given. Of single reads, those with a mapping quality "
        "of at least 20 were kept, without those on chrM (samtools 1.16.1); duplicates were kept. Single reads were "
        "extended to 180 bp. Peaks were called with macs3 3.0.4 at p ≤ 0.001 against the control; reproducible ones "
        "have an irreproducible discovery rate of at most 0.05 in two replicates or in two halves of the pooled data, "
        "whichever are more."
    ]


def test_programs_are_in_the_run_record(tmp_path, report_nouns, qualities):
    made = library(tmp_path / "libraries/a.1", "a.1")
    context = gather(Report(title="x"), **report_nouns, qualities=qualities, libraries=[made])
    assert context["sources"]["read_files"] == [{"file": "a.1: <b>r</b>.fq.gz", "digest": "ab" * 32}]
    assert context["record"]["versions"]["samtools"] == "1.16.1"
    assert {"noun": "library", "name": "a.1"}.items() <= context["record"]["lines"][0].items()
    paragraph = next(part for part in context["methods"] if part["heading"] == "Reads")
    assert paragraph["text"] == "Quality was judged by the limits of the audits of the ENCODE portal."
