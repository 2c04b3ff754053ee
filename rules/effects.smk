# What the rules of maps, motifs, variants and measured effects ask of the configuration. No rules.

from seqmill.config.effects import Map, genome_of, map_genome
from seqmill.config.motifs import model_of as motif_model
from seqmill.config.measured import measured_genome
from seqmill.config.scope import map_scope


def map_of(wildcards):
    return PROJECT.config.maps[MAPS[wildcards.map]]


def map_section(wildcards):
    return map_scope(map_of(wildcards)).model_dump_json()


def whole_maps():
    """Maps that one job makes."""
    return [key for key, name in MAPS.items() if PROJECT.config.maps[name].parts == 1]


def scattered_maps():
    """Maps whose regions are divided among several jobs."""
    return [key for key in MAPS if key not in whole_maps()]


def paged_maps():
    """Maps that have HTML pages."""
    return [key for key, name in MAPS.items() if PROJECT.config.maps[name].page]


def map_sources(wildcards):
    """Source files that a map itself is made from."""
    return map_scope(map_of(wildcards)).source_files()


def page_tracks(wildcards):
    """Track stores that the page of a map draws."""
    names = map_of(wildcards).page.tracks
    return [f"results/tracks/{slug(name)}.zarr/marker.json" for name in names]


def page_variants(wildcards):
    """Scored sets of variants that the page of a map marks."""
    names = map_of(wildcards).page.variants
    return [f"results/variants/{slug(name)}/marker.json" for name in names]


def map_parts(wildcards):
    """Parts of a map that several jobs make."""
    parts = map_of(wildcards).parts
    return [
        f"results/maps/{wildcards.map}.parts/{part}of{parts}.zarr/marker.json"
        for part in range(1, parts + 1)
    ]


def variants_of(wildcards):
    return PROJECT.config.variants[VARIANTS[wildcards.set]]


def effect_genome(section):
    """Genome that the places of a map or of variants are on; none for a map of sequences of a table."""
    look_up = map_genome if isinstance(section, Map) else genome_of
    name = look_up(PROJECT.config, section, PROJECT.where)
    return f"results/genome/{slug(name)}.zarr/marker.json" if name else []


def effect_models(section):
    """Every run of the network of a map or of variants."""
    return [
        f"results/models/{key}/{fold}.{seed}/marker.json"
        for key, fold, seed in run_names({slug(section.model): section.model})
    ]


def effect_datasets(section):
    """Datasets that the network, and those it started from, were trained on; its own first."""
    models = PROJECT.config.models
    names = [section.model, *lineage(models, section.model, PROJECT.where)]
    datasets = dict.fromkeys(models[name].dataset for name in names)
    own = [f"results/datasets/{slug(name)}.zarr/marker.json" for name in datasets]
    return own + [f"{path}/marker.json" for path in given_datasets(models, names)]


def effect_training(section):
    return PROJECT.config.models[section.model].training


def effect_prediction(section):
    return prediction_scope(PROJECT.config.models[section.model]).model_dump_json()


def effect_files(section):
    return tracked(section.source_files())


def map_markers():
    return [f"results/maps/{key}.zarr/marker.json" for key in MAPS]


def map_file_markers():
    """Files for other programs, and pages of those maps that have some."""
    files = [f"results/maps/{key}.files/marker.json" for key in MAPS]
    return files + [f"results/maps/{key}.page/marker.json" for key in paged_maps()]


def variant_markers():
    return [f"results/variants/{key}/marker.json" for key in VARIANTS]


def motifs_of(wildcards):
    return PROJECT.config.motifs[MOTIFS[wildcards.motifs]]


def motif_network(wildcards):
    return PROJECT.config.models[motif_model(PROJECT.config, motifs_of(wildcards))]


def motif_models(wildcards):
    """Every run of the network of a section of motifs."""
    name = motif_model(PROJECT.config, motifs_of(wildcards))
    return [
        f"results/models/{key}/{fold}.{seed}/marker.json"
        for key, fold, seed in run_names({slug(name): name})
    ]


def motif_map(wildcards):
    """The map that is searched, and its files; none where none is."""
    section = motifs_of(wildcards)
    kinds = ("zarr", "files") if section.searches else ()
    return [f"results/maps/{slug(section.map)}.{kind}/marker.json" for kind in kinds]


def motif_markers():
    return [f"results/motifs/{key}/marker.json" for key in MOTIFS]


def measured_of(wildcards):
    return PROJECT.config.measured[MEASURED[wildcards.measured]]


def measured_genomes(wildcards):
    """Genome that places are read from; none where the sequences are given."""
    name = measured_genome(PROJECT.config, measured_of(wildcards), PROJECT.where)
    return f"results/genome/{slug(name)}.zarr/marker.json" if name else []


def measured_baseline(wildcards):
    """Section of the k-mer baseline, as JSON; empty if there is none."""
    name = measured_of(wildcards).kmer
    if name is None:
        return ""
    return run_scope(PROJECT.config.baselines[name]).model_dump_json()


def measured_fits(wildcards):
    """Predictions of the k-mer baseline, which keep its fit, for each fold of the network; none without one."""
    section = measured_of(wildcards)
    if section.kmer is None:
        return []
    folds = PROJECT.folds(section.model)
    root = f"results/predictions/{slug(section.kmer)}"
    return [f"{root}/{fold}.0.zarr/marker.json" for fold in folds]


def measured_files(wildcards):
    """Files that the section, and the baseline that it names, read."""
    section = measured_of(wildcards)
    others = [PROJECT.config.baselines[section.kmer]] if section.kmer else []
    return [path for one in (section, *others) for path in one.source_files()]


def measured_markers():
    return [f"results/measured/{key}/marker.json" for key in MEASURED]
