# Reads and checks the configuration; looks up what rules need from it. No rules.

import json
import re
import subprocess
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from seqmill.config.names import label_of, slug
from seqmill.config.project import Project
from seqmill.config.scope import (
    blacklists,
    dataset_files,
    genome_scope,
    input_scope,
    rows_scope,
    target_scope,
    track_scope,
)
from seqmill.config.stored import read_here
from seqmill.config.written import packed, written_sources
from seqmill.config.yamlfile import read_yaml
from seqmill.examples.kinds import CONTROL, input_names
from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.job import announce_driver
from seqmill.runtime.locks import acquire
from seqmill.stores.versions import FORMATS
from seqmill.report.summary import summarise, summary_lines

CONFIG_FILES = [str(path) for path in workflow.overwrite_configfiles] or [
    "config/config.yaml"
]

try:
    for path in CONFIG_FILES:
        read_yaml(
            path
        )  # stricter than Snakemake's own reader: tags and repeated keys are errors
    PROJECT = Project.of(config, ", ".join(CONFIG_FILES))
    if workflow.is_main_process:
        PROJECT.check_sources()
    TRACKS = {slug(name): track for name, track in PROJECT.tracks.items()}
except SeqmillError as error:
    raise WorkflowError(str(error)) from None

# defaults stay out of `config`: the sections fill them, and one branch of a choice must not get another branch's keys
validate(
    config,
    workflow.source_path("../config/schema/config.schema.json"),
    set_default=False,
)

GENOMES = {
    slug(name): (name, genome_scope(section))
    for name, section in PROJECT.config.genomes.items()
}
DATASETS = {slug(name): name for name in PROJECT.config.datasets}
STORED = [
    slug(name) for name, section in PROJECT.config.datasets.items() if section.stored
]
MODELS = {slug(name): name for name in PROJECT.config.models}
BASELINES = {slug(name): name for name in PROJECT.config.baselines}
PUBLISHED = {slug(name): name for name in PROJECT.config.published}
SEARCHES = {slug(name): name for name in PROJECT.config.searches}
CURVES = {slug(name): name for name in PROJECT.config.curves}
JUDGED = {**MODELS, **BASELINES, **PUBLISHED}
MAPS = {slug(name): name for name in PROJECT.config.maps}
MOTIFS = {slug(name): name for name in PROJECT.config.motifs}
VARIANTS = {slug(name): name for name in PROJECT.config.variants}
MEASURED = {slug(name): name for name in PROJECT.config.measured}


wildcard_constraints:
    assembly="[^/]+",
    source="[^/]+",
    track="[^/]+",
    dataset="[^/]+",
    target="[^/]+",
    group="[^/]+",
    input="[^/]+",
    model="[^/]+",
    fold="[^/.]+",
    seed=r"\d+",
    search="[^/]+",
    worker=r"\d+",
    curve="[^/@]+",
    map="[^/]+",
    motifs="[^/]+",
    set="[^/]+",
    measured="[^/]+",


if workflow.is_main_process or workflow.remote_exec:
    announce_driver()


def hold_run_lock():
    """One run for each working folder; freed by the kernel when this process ends, however it ends."""
    global RUN_LOCK
    try:
        RUN_LOCK = acquire("results/.run.lock", f"the working folder {Path.cwd()}")
    except SeqmillError as error:
        raise WorkflowError(str(error)) from None


def check_models():
    """Architectures, their settings and optimisers, before hours are spent on data (in a process with jax)."""
    if PROJECT.config.models:
        sections = PROJECT.config.model_dump_json(include={"models", "searches"})
        done = subprocess.run(
            [sys.executable, "-m", "seqmill.training.check"],
            input=sections,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise WorkflowError(done.stderr.strip().splitlines()[-1])


def say_summary():
    results = Path("results")
    print(summary_lines(summarise(results), results)[-1], file=sys.stderr)


def say_errors(logs):
    """The messages of failed jobs once more, as the last thing on the screen."""
    text = "\n".join(
        Path(log).read_text(errors="replace") for log in logs if Path(log).exists()
    )
    found = re.findall(r"^\d\d:\d\d:\d\d (ERROR .*)", text, flags=re.MULTILINE)
    for message in dict.fromkeys(found):
        print(message, file=sys.stderr)
    print("What is finished stays; the same command continues.", file=sys.stderr)


def stamps(paths):
    """Sizes and times of source files: a file exchanged for an older one re-runs what was made of it."""
    found = []
    for path in map(Path, paths):
        if path.exists() and not str(path).startswith("results/"):
            stat = path.stat()
            found.append(f"{stat.st_size}:{stat.st_mtime_ns}")
    return found


def dataset_of(wildcards):
    return PROJECT.config.datasets[DATASETS[wildcards.dataset]]


def dataset_sources(wildcards):
    return tracked(dataset_files(PROJECT, DATASETS[wildcards.dataset]))


def blacklist_files(wildcards):
    found = blacklists(PROJECT, DATASETS[wildcards.dataset])
    return {name: str(path) for name, path in found.items()}


def rows_section(wildcards):
    return rows_scope(dataset_of(wildcards)).model_dump_json()


def input_section(wildcards):
    return input_scope(dataset_of(wildcards), wildcards.input).model_dump_json()


def input_tracks(wildcards):
    """Tracks of an input: those of the control, none for others."""
    name = DATASETS[wildcards.dataset]
    return PROJECT.control_tracks(name) if wildcards.input == CONTROL else []


def target_section(wildcards):
    return target_scope(
        dataset_of(wildcards), label_of(wildcards.target)
    ).model_dump_json()


def tracks_json(tracks):
    return json.dumps(
        [track.model_dump(exclude={"description", "licence"}) for track in tracks]
    )


def genome_markers(wildcards):
    return [
        f"results/genome/{slug(name)}.zarr/marker.json"
        for name in dataset_of(wildcards).genomes
    ]


def markers_of(tracks):
    return [f"results/tracks/{slug(track.track)}.zarr/marker.json" for track in tracks]


def track_markers():
    """Track stores; reads have none, only their files."""
    here, _ = read_here(PROJECT)
    tracks = [track for name, track in PROJECT.tracks.items() if name in here]
    reads = [
        f"results/sources/{slug(track.track)}/marker.json"
        for track in tracks
        if track.kind == "reads"
    ]
    return [*markers_of(track for track in tracks if track.kind != "reads"), *reads]


def dataset_markers():
    return [f"results/datasets/{name}.zarr/marker.json" for name in DATASETS]


def all_parts(dataset):
    """Parts of a dataset beside its rows, as paths inside it: inputs and the array groups of targets."""
    name = DATASETS[dataset]
    section = PROJECT.config.datasets[name]
    targets = [
        f"targets/{slug(target)}/{slug(group)}"
        for target in section.targets
        for group in PROJECT.groups(name, target)
    ]
    return [f"inputs/{key}" for key in input_names(section)] + targets


def dataset_parts(wildcards):
    root = f"results/datasets/{wildcards.dataset}.zarr"
    return [f"{root}/{part}/marker.json" for part in all_parts(wildcards.dataset)]


def group_tracks(wildcards):
    """Tracks of one array group of a target."""
    groups = PROJECT.groups(DATASETS[wildcards.dataset], label_of(wildcards.target))
    return {slug(group): tracks for group, tracks in groups.items()}[wildcards.group]


def truth_table():
    """How well maps find the motifs of a simulated world, where there are both."""
    return ["results/report/truth.tsv"] if PROJECT.config.simulation and MAPS else []


def report_outputs():
    """The page, where something is judged."""
    return ["results/report/index.html", *truth_table()] if judged_datasets() else []


def member_markers(wildcards):
    """Predictions of every seed of one fold of a network."""
    seeds = PROJECT.seeds(MODELS[wildcards.model])
    root = f"results/predictions/{wildcards.model}/{wildcards.fold}"
    return [f"{root}.{seed}.zarr/marker.json" for seed in seeds]


def prediction_markers(dataset):
    """Predictions of every network (and their means over seeds), baseline and publication on one dataset."""
    runs = run_names(JUDGED)
    runs += [
        (key, fold, "mean")
        for key, name in MODELS.items()
        for fold in PROJECT.folds(name)
        if PROJECT.has_ensemble(name)
    ]
    return [
        f"results/predictions/{key}/{fold}.{seed}.zarr/marker.json"
        for key, fold, seed in runs
        if slug(PROJECT.run(JUDGED[key]).dataset) == dataset
    ]


def model_markers():
    return [
        f"results/models/{key}/{fold}.{seed}/marker.json"
        for key, fold, seed in run_names(MODELS)
    ]


def judged_datasets():
    """Datasets that a network or baseline is judged on."""
    return [dataset for dataset in DATASETS if prediction_markers(dataset)]


def evaluation_markers():
    return [
        f"results/evaluation/{dataset}/marker.json" for dataset in judged_datasets()
    ]


def final_outputs():
    """Everything the configuration asks for: what was deleted is made again, whatever else is there."""
    parts = [
        f"results/datasets/{dataset}.zarr/{part}/marker.json"
        for dataset in DATASETS
        if dataset not in STORED
        for part in ["rows", *all_parts(dataset)]
    ]
    predictions = [
        marker for dataset in DATASETS for marker in prediction_markers(dataset)
    ]
    _, here = read_here(PROJECT)
    genomes = [
        f"results/genome/{key}.zarr/marker.json"
        for key, (name, _) in GENOMES.items()
        if name in here
    ]
    reads = [*experiment_markers(), *quality_table()]
    stores = [*genomes, *reads, *track_markers(), *parts, *dataset_markers()]
    effects = [
        *map_markers(),
        *map_file_markers(),
        *motif_markers(),
        *variant_markers(),
        *measured_markers(),
    ]
    networks = [*model_markers(), *score_markers(), *curve_markers()]
    models = [*networks, *predictions, *effects]
    return [*stores, *models, *evaluation_markers(), *report_outputs()]


def one_of(names):
    """Regular expression that matches exactly the given names, or nothing."""
    return "|".join(re.escape(name) for name in names) or "(?!)"
