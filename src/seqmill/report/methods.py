"""The methods text: sentences made from the configuration, the stores and the run records, and from nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any

from seqmill.config.augment import Augment
from seqmill.report.words import human_bp, number, percent, plural

# As the file of each network names its source.
PAPERS = {
    "basset": "Basset (Kelley, Snoek and Rinn, Genome Research 26:990, 2016)",
    "bpnet": "BPNet (Avsec et al., Nature Genetics 53:354, 2021)",
    "danq": "DanQ (Quang and Xie, Nucleic Acids Research 44:e107, 2016)",
    "deepbind": "DeepBind (Alipanahi et al., Nature Biotechnology 33:831, 2015)",
    "deepsea": "DeepSEA (Zhou and Troyanskaya, Nature Methods 12:931, 2015)",
    "factorized_basset": "Factorized Basset (Wnuk et al., bioRxiv 229385, 2017)",
    "mmsplice": "a module of MMSplice (Cheng et al., Genome Biology 20:48, 2019)",
    "primer_cnn": "the tutorial network of Zou et al. (Nature Genetics 51:12, 2019)",
}
FEATURES = {
    "kmer": "counts of words",
    "gapped_kmer": "counts of words with gaps",
    "onehot": "which word begins at each base",
    "gc": "GC content and CpG counts",
    "pwm": "matches of motifs",
}
K = {"kmer": 5, "gapped_kmer": 4, "onehot": 1}  # bases of a word where the configuration says none
FITS = {
    "linear": "ridge or logistic regression",
    "lasso": "the lasso",
    "elastic_net": "the elastic net",
    "boosting": "gradient boosting (LightGBM)",
}
ATTRIBUTION = {
    "gradient_input": "gradient × input",
    "integrated_gradients": "integrated gradients (Sundararajan et al. 2017)",
    "deeplift": "DeepLIFT (rescale rule, Shrikumar et al. 2017; references as in DeepSHAP, Lundberg and Lee 2017)",
}
MAX_NAMES = 12
Paragraph = dict[str, str]


def methods(found: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Paragraph]:
    """Paragraphs with a heading each.

    Parameters
    ----------
    found : what the page shows (`seqmill.report.page.gather`). settings : `seqmill.report.collect.settings_of`.
    """
    listed = any(genome["blacklist"] for genome in found["sources"]["genomes"])
    examples = [_dataset(item, settings["datasets"].get(item["name"], {}), listed) for item in found["datasets"]]
    parts = [
        ("Data", _data(found["sources"])),
        ("Reads", _reads(found["reads"])),
        ("Examples", " ".join(examples)),
        ("Networks", " ".join(_network(name, info, settings) for name, info in settings["networks"].items())),
        ("Searches", " ".join([*map(_search, found["searches"]), *map(_curve, found["curves"])])),
        ("Baselines", " ".join(filter(None, (_baseline(*item) for item in settings["baselines"].items())))),
        ("Evaluation", " ".join(map(_evaluation, found["evaluations"]))),
        ("Mutagenesis", " ".join(map(_map, found["maps"]))),
        ("Motifs", " ".join(map(_motifs, found["motifs"]))),
        ("Variants", " ".join(map(_variants, found["variants"]))),
        ("Software", _software(found["record"])),
    ]
    return [{"heading": heading, "text": text} for heading, text in parts if text]


def _list(names: Iterable[Any]) -> str:
    every = [str(name) for name in names]
    more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
    return ", ".join(every[:MAX_NAMES]) + more


PORTALS = {"encode": "ENCODE", "sra": "the Sequence Read Archive", "geo": "GEO"}


def _fetched(files: Iterable[Mapping[str, str]]) -> list[str]:
    """A sentence a portal, with the accessions and the days on which they were pinned."""
    said = []
    by_portal: dict[str, list[Mapping[str, str]]] = {}
    for item in files:
        by_portal.setdefault(item["source"], []).append(item)
    for portal, items in by_portal.items():
        days = sorted({item["retrieved"] for item in items if item["retrieved"]})
        pinned = (
            f", pinned on {days[0]}" if len(days) == 1 else f", pinned from {days[0]} to {days[-1]}" if days else ""
        )
        names = _list(dict.fromkeys(item["accession"] or item["name"] for item in items))
        said.append(f"{plural(len(items), 'file')} came from {PORTALS.get(portal, portal)} ({names}){pinned}.")
    return said


def _data(sources: Mapping[str, Any]) -> str:
    said = _fetched(sources.get("fetched", []))
    for genome in sources["genomes"]:
        licence = f"; licence: {genome['licence']}" if genome["licence"] else ""
        size = f"{plural(genome['contigs'], 'contig')}, {human_bp(genome['bp'])}"
        said.append(f"The genome was {genome['name']} ({size}{licence}).")
    used = [track for track in sources["tracks"] if track["state"] == "ok"]
    if used:
        kinds: dict[str, list[str]] = {}
        for track in used:
            kinds.setdefault(track["format"] or track["kind"], []).append(track["name"])
        groups = "; ".join(f"{plural(len(names), kind + ' file')} ({_list(names)})" for kind, names in kinds.items())
        said.append(f"Tracks were read from {groups}.")
    binned = sorted({(track["aggregate"], track["bin_bp"]) for track in used if track["bin_bp"]})
    if binned:
        said.append(f"Signal was kept as the {' and the '.join(f'{how} of {bp} bp bins' for how, bp in binned)}.")
    lost = [track["name"] for track in sources["tracks"] if track["state"] != "ok"]
    if lost:
        said.append(f"{plural(len(lost), 'track')} could not be used ({_list(lost)}).")
    return " ".join(said)


def _reads(reads: Mapping[str, Any] | None) -> str:
    if not reads:
        return ""
    judged = "Quality was judged by the limits of the audits of the ENCODE portal."
    return " ".join([*reads["processing"], judged])


def _dataset(item: Mapping[str, Any], section: Mapping[str, Any], listed: bool) -> str:
    windows, split = section.get("windows", {}), section.get("split", {})
    what = {
        "peaks": f"windows of {number(item['window_bp'])} bp centred on peaks",
        "tiles": f"windows of {number(item['window_bp'])} bp every "
        f"{number(windows.get('stride_bp') or item['window_bp'])} bp",
        "table": "the rows of sequence tables",
        "genotype": "genotypes",
        "methylation": f"CpG sites with {number(item['window_bp'])} bp of sequence",
    }.get(windows.get("kind", ""), f"windows of {number(item['window_bp'])} bp")
    said = [f"Dataset {item['name']}: {number(item['n'])} examples, {what}."]
    negatives = section.get("negatives")
    if negatives:
        kind = "matched in GC content" if negatives["kind"] == "gc_matched" else "shuffled with dinucleotides kept"
        said.append(f"For each positive {number(float(negatives['ratio']), 1)} negatives were drawn, {kind}.")
    if windows.get("kind") in ("tiles", "peaks"):
        share = percent(section.get("max_n_fraction"))
        touching = ", or that touch the blacklist," if listed and section.get("blacklist") == "drop" else ""
        said.append(f"Windows with more than {share} N{touching} were left out.")
    if item["split"]:
        named = [f"{key} {_list(split[key])}" for key in ("test", "valid") if isinstance(split.get(key), list)]
        said.append(f"Parts were divided {item['split']}{': ' + '; '.join(named) if named else ''}.")
    targets = [f"{t['name']} ({t['kind']}, {plural(t['tracks'], 'track')})" for t in item["targets"]]
    if targets:
        said.append(f"Targets: {_list(targets)}.")
    return " ".join(said)


def _network(name: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    paper = PAPERS.get(str(info.get("architecture")), f"architecture {info.get('architecture')}")
    changed = _list(f"{key} {value}" for key, value in (info.get("settings") or {}).items())
    said = [f"Network {name} on {info.get('dataset', '')}: {paper}{', with ' + changed if changed else ''}"]
    said[0] += f"; {number(info['parameters'])} parameters." if info.get("parameters") else "."
    training = info.get("training")
    if training:
        optimizer = training["optimizer"]
        said.append(
            f"It was trained with {optimizer['name']} (learning rate {optimizer['learning_rate']:g}) in batches of "
            f"{number(training['batch_size'])}, for at most {plural(training['max_epochs'], 'pass')} over the training "
            f"part, stopped after {plural(training['patience'], 'pass')} without a better validation loss; the best "
            "pass was kept."
        )
        if info.get("strands"):
            said.append("The strand of each example was drawn at random.")
        said += _step(training)
        if training.get("max_jitter_bp"):
            said.append(f"Windows were moved by up to {training['max_jitter_bp']} bp at random.")
        if training.get("augment"):
            said.append(_changes(Augment.model_validate(training["augment"])))
    said.append(f"There {'was' if info['runs'] == 1 else 'were'} {plural(info['runs'], 'run')} (folds and seeds).")
    applied = settings["predictions"].get(name, {})
    if applied.get("both_strands"):
        said.append("Predictions are means over both strands.")
    if len(applied.get("shifts_bp", [0])) > 1:
        said.append(f"Predictions are means over shifts of {_list(applied['shifts_bp'])} bp.")
    return " ".join(said)


def _changes(augment: Augment) -> str:
    """How sequences were changed at random."""
    amounts = {"mutation": f"{percent(augment.mutation_fraction)} of bases", "noise": f"of {augment.noise_std:g}"}
    kinds = [f"{kind} ({amounts.get(kind) or f'up to {augment.largest_bp(kind)} bp'})" for kind in augment.kinds()]
    paper = "EvoAug, Lee et al., Genome Biology 24:105, 2023"
    text = f"In training, sequences were changed at random ({paper}): {', '.join(kinds)}"
    if augment.most() < len(kinds):
        text += f", {'' if augment.hard else 'up to '}{augment.most()} of these an example"
    return text + (
        f"; the last {plural(augment.plain_epochs, 'pass')} without changes." if augment.plain_epochs else "."
    )


def _step(training: Mapping[str, Any]) -> list[str]:
    """What a step did beside the plain one."""
    said = []
    if training.get("precision", "float32") != "float32":
        said.append(f"Steps were computed in {training['precision']}, with parameters and losses in float32.")
    if training.get("accumulate", 1) > 1:
        said.append(f"Batches were computed in {training['accumulate']} parts, their gradients added up.")
    if training.get("ema_decay") is not None:
        said.append(f"Moving averages of the parameters (decay {training['ema_decay']:g}) were validated and kept.")
    if training.get("skip_spikes") is not None:
        times = f"{training['skip_spikes']:g} times"
        said.append(f"Steps with a loss or gradient norm above {times} its running median were skipped.")
    return said


def _baseline(name: str, section: Mapping[str, Any]) -> str:
    if not section.get("kind"):
        return ""
    kind = FEATURES.get(str(section.get("kind")), str(section.get("kind", "")))
    k = section.get("k") or K.get(str(section.get("kind")))
    least = section.get("min_k") or k
    words = f" of {k} bases" if k == least else f" of {least} to {k} bases"
    words = words if k and section["kind"] in K else ""
    fit = FITS.get(str(section.get("fit", "")), "")
    return f"Baseline {name} on {section['dataset']}: {kind}{words}{', fitted by ' + fit if fit else ''}."


def _evaluation(item: Mapping[str, Any]) -> str:
    metrics = [metric for target in item["targets"] for metric in target["metrics"]]
    labels = sorted({metric["label"] for metric in metrics})
    judged = f"On {item['name']}, all were judged on the same test rows by {_list(labels)}."
    if not any(metric["bars"] for metric in metrics):
        return f"{judged} The test part has too few blocks for intervals."
    return (
        f"{judged} Intervals are 95 % percentile intervals of {number(item['resamples'])} resamples of blocks "
        f"(a block is a {' or a '.join(item['block_units'])}); all were compared on the same resamples."
    )


def _search(item: Mapping[str, Any]) -> str:
    drawn = f", drawn by {item['sampler']} (optuna)" if item["sampler"] else ""
    keys = _list(line["key"] for line in item["settings"])
    said = (
        f"Settings of {item['model'] or 'a network'} ({keys}) were searched in each fold apart: "
        f"{plural(item['trials'], 'trial')}{drawn}, compared by their validation loss on {item['inner']}."
    )
    if not item["scores"]:
        return said
    return (
        f"{said} Networks with the chosen settings were then judged on the test parts, which no trial had read (nested "
        "cross-validation; Varma and Simon, BMC Bioinformatics 7:91, 2006)."
    )


def _curve(item: Mapping[str, Any]) -> str:
    sizes = [line["share"] for line in item["targets"][0]["metrics"][0]["sizes"]]
    return (
        f"For the curve {item['name']}, networks were trained on {_list(sizes)} of the training rows, each part "
        f"holding the smaller ones, in {plural(item['folds'], 'fold')} with {plural(item['seeds'], 'seed')}."
    )


def _map(item: Mapping[str, Any]) -> str:
    who = "the runs that never saw the region in training" if item["runs"] == "unseen" else "all runs"
    strands = ", on both strands" if item["both_strands"] else ""
    where = plural(item["n"], "region") + f" of {item['genome']}" if item["genome"] else plural(item["n"], "sequence")
    if item["method"] != "mutagenesis":
        return _attribution(item, where, who + strands)
    return (
        f"Map {item['name']}: in {where} every base was edited "
        f"({', '.join(item['edits'])}) and scored by {item['model']}, by {who}{strands}; "
        "an effect is the score of the edited sequence minus that of the unedited one"
        f" ({', '.join(item['spaces'])})."
    )


def _motifs(item: Mapping[str, Any]) -> str:
    said = []
    if item["searched"]:
        windows = _list(dict.fromkeys(source["window_bp"] for source in item["sources"]))
        said.append(
            f"Contributions of map {item['map']} ({plural(item['regions'], 'region')}, {windows} bp each) were "
            "searched for recurring patterns with TF-MoDISco (Shrikumar et al., arXiv:1811.00416, 2018; modisco-lite)."
        )
    if item["all_filters"]:
        said.append(
            f"Filters of the first layer of {item['model']} {item['filters_of']} were drawn from the stretches of test "
            "rows that activate them more than half as much as the strongest one does (Kelley et al., Genome Research "
            "26:990, 2016)."
        )
    if item["database"]:
        said.append(
            f"Motifs were matched with the {number(item['database']['motifs'])} of {item['database']['file']} by "
            "TOMTOM's method (Gupta et al., Genome Biology 8:R24, 2007); q is Benjamini and Hochberg's over all pairs."
        )
    if item["effects"]:
        said.append(
            f"Effects in random backgrounds: {number(item['marginal']['backgrounds'])} test rows of {item['model']} "
            f"with their dinucleotides shuffled, with and without the motif's {item['marginal']['site']} site in the "
            "middle; intervals are Student's, over backgrounds."
        )
    return f"Motifs {item['name']}: " + " ".join(said) if said else ""


def _attribution(item: Mapping[str, Any], where: str, who: str) -> str:
    said = (
        f"Map {item['name']}: contributions of the bases of {where} to the score of {item['model']} "
        f"({', '.join(item['spaces'])}) by {ATTRIBUTION[item['method']]}, by {who}"
    )
    if item["references"]:
        said += f"; means over {plural(item['references'], 'reference')} with the dinucleotides of the window"
    if item["completeness"]:
        said += f", adding up to the differences within {number(float(item['completeness']['largest']))} of them"
    return said + "."


def _variants(item: Mapping[str, Any]) -> str:
    effects = sorted({effect["label"] for effect in item["effects"]})
    strands = ", on both strands" if item["both_strands"] else ""
    count = f"{number(item['scored'])} of {number(item['n'])} alleles"
    return (
        f"Variants {item['name']}: {count} were scored by {item['model']} on {item['genome']}{strands} "
        f"({_list(effects)}); {percent(item['ref_match'])} of the reference alleles agreed with the genome."
        + _beside(item)
    )


def _beside(item: Mapping[str, Any]) -> str:
    """What stands beside the effects of a set of variants."""
    text = ""
    if item["background"]:
        text += (
            f" Effects were compared with those of {number(item['background']['n'])} background variants, in strata of "
            "allele frequency, distance to a gene's start and GC content (empirical p, uncorrected)."
        )
    if item["haplotypes"]:
        text += (
            f" {number(item['haplotypes']['n'])} haplotypes of phased variants were scored beside the sums of their "
            "variants' effects."
        )
    return text


def _software(record: Mapping[str, Any]) -> str:
    versions = _list(f"{package} {version}" for package, version in list(record["versions"].items())[:MAX_NAMES])
    return f"Software: {versions}." if versions else ""
