"""The project: all sections and the sheet, checked against each other."""

import math
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from seqmill.config.baselines import Baseline
from seqmill.config.call_samples import call_samples
from seqmill.config.datasets import Control, Dataset, Selector, Target
from seqmill.config.effects import check_effects, check_page_tracks
from seqmill.config.experiments import EXPERIMENTS, Libraries, resolve_track
from seqmill.config.heads import check_heads
from seqmill.config.lineage import given_folder, initial_seed, lineage
from seqmill.config.lock import LockRow
from seqmill.config.locked import Locked, lock_path
from seqmill.config.measured import check_measured
from seqmill.config.models import Model
from seqmill.config.motifs import check_motifs
from seqmill.config.names import check_collisions, check_label, label_of
from seqmill.config.published import Published
from seqmill.config.reads import Experiment
from seqmill.config.remote import FETCHED, fetched_folder
from seqmill.config.root import Config, parse, written
from seqmill.config.search_checks import check_searches
from seqmill.config.sheet import Track, fetched_track
from seqmill.config.stored import read_here
from seqmill.config.wishes import format_of, sheet_tracks, track_wish
from seqmill.runtime.errors import InputError

# Where the demo's world is made; its files need not be there yet.
WORLD = Path("results/simulation")


def _check_bins(where: str, bin_bp: int | None, track: Track) -> None:
    if bin_bp and track.bin_bp and bin_bp % track.bin_bp:
        raise InputError(where, f"bin_bp {bin_bp} is not a multiple of the {track.bin_bp} bp of track {track.track}")


class Project:
    """A configuration with its track sheet.

    Parameters
    ----------
    config : the checked configuration.
    where : the file it came from, for messages.
    values : the configuration as it was written: paths still hold ``${NAME}``.
    locked : what the lock holds; read from its place if not given.
    """

    def __init__(self, config: Config, where: str, values: dict[str, Any] | None = None, locked: Locked | None = None):
        self.config, self.where, self.values = config, where, values or {}
        self.locked = locked or Locked(lock_path(self.values))
        for section in (
            *("genomes", "datasets", "models", "searches", "curves", "baselines", "published", "maps", "motifs"),
            *("variants", "measured"),
        ):
            names = list(getattr(config, section))
            for name in names:
                check_label(name, f"{where}: {section}")
            check_collisions(names, f"{where}: {section}")
        runs = [*config.models, *config.baselines, *config.published]
        check_collisions(runs, f"{where}: models, baselines and published predictions")
        for name, dataset in config.datasets.items():
            self._check_dataset(name, dataset)
        for name, model in config.models.items():
            self._check_model(name, model)
        check_searches(config, where, self.folds)
        for name, baseline in config.baselines.items():
            self._check_model(name, baseline)
        for name, published in config.published.items():
            self._check_run(f"{where}: published.{name}", name, published.dataset, published.columns)
        for section in ("maps", "variants"):
            for name, effect in getattr(config, section).items():
                check_effects(config, effect, f"{where}: {section}.{name}")
        for name, motifs in config.motifs.items():
            check_motifs(config, motifs, f"{where}: motifs.{name}")
        for name, measured in config.measured.items():
            check_measured(config, measured, f"{where}: measured.{name}")
        for name, mapped in config.maps.items():
            check_page_tracks(config, self.tracks, mapped, f"{where}: maps.{name}")

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "Project":
        """Check a configuration that has been read already."""
        locked = Locked(lock_path(values))
        return Project(parse(values, where, locked.file), where, values, locked)

    @staticmethod
    def load(paths: list[str | Path], overrides: dict[str, Any] | None = None) -> "Project":
        """Read configuration files, each laid on the one before, then ``overrides``."""
        return Project.of(*written(paths, overrides))

    @cached_property
    def _asked(self) -> dict[str, Track]:
        """Rows of the sheet by track, as they are written but for the assembly."""
        return {track.track: track for track in sheet_tracks(self.config)}

    def _as_asked(self, track: Track) -> Track:
        """A row with the location that is written in the sheet."""
        return track.model_copy(update={"location": self._asked[track.track].location})

    @cached_property
    def _rows(self) -> dict[str, Track]:
        """All rows of the sheet by track, with the assembly filled in, and paths of fetched files."""
        section, tracks = self.config.tracks, {}
        for track in self._asked.values():
            assert section is not None
            if track.source not in ("local", "reads"):
                rows = self.locked.of(track_wish(self.config, track))
                location = (fetched_folder(track.track) / rows[0].file).as_posix()
                track = fetched_track(track, location, track.format or format_of(rows[0], section.sheet))
            tracks[track.track] = track.model_copy(update={"bin_bp": track.bin_bp or section.bin_bp})
        return tracks

    @cached_property
    def libraries(self) -> Libraries:
        """Reads of the sheet of reads, and tracks that are reads themselves."""
        tracks = [track for track in self._rows.values() if track.source != "reads"]
        return Libraries(self.config, self.locked, [self._as_asked(track) for track in tracks])

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """Experiments whose reads become signal and peaks, by name."""
        return self.libraries.experiments

    @cached_property
    def call_samples(self) -> dict[str, list[Track]]:
        """Samples of methylation calls, each with a row for every replicate."""
        found = call_samples(self.tracks)
        for name in found:
            if name in self.experiments:
                raise InputError(self.where, f"track {name!r} of methylation calls has the name of an experiment")
        return found

    @cached_property
    def tracks(self) -> dict[str, Track]:
        """All tracks of the sheet by name, as they are read: what is made of reads is a file of its experiment."""
        section = self.config.tracks
        if section is None:
            return {}
        made = {
            name: track
            for name, track in self._rows.items()
            if track.source == "reads" or (track.kind == "reads" and name in self.experiments)
        }
        return self._rows | {
            name: resolve_track(self._as_asked(track), self.experiments, str(section.sheet))
            for name, track in made.items()
        }

    def fetched(self) -> dict[str, list[LockRow]]:
        """Remote files that the configuration and its sheet use: name of the lock to its rows."""
        names = {label_of(path.parent.name): None for path in self.config.source_files() if FETCHED in path.parents}
        names |= {name: None for name, track in self._rows.items() if track.source not in ("local", "reads")}
        names |= dict.fromkeys(self.libraries.names.values())
        return {name: self.locked.rows[name] for name in names}

    def select(self, selector: Selector, where: str) -> list[Track]:
        """Tracks that ``selector`` names, in sheet order. Raises InputError if there are none."""
        tracks = list(self.tracks.values())
        if isinstance(selector, list):
            missing = [name for name in selector if name not in self.tracks]
            if missing:
                raise InputError(where, f"track {missing[0]!r} is not in the sheet")
            chosen = [track for track in tracks if track.track in set(selector)]
        elif isinstance(selector, dict):
            for column in selector:
                if column not in Track.model_fields:
                    raise InputError(where, f"'{column}' is not a column of the sheet")
            wanted = {column: [v] if isinstance(v, str) else v for column, v in selector.items()}
            chosen = [t for t in tracks if all(str(getattr(t, column)) in values for column, values in wanted.items())]
        else:
            chosen = tracks
        if not chosen:
            raise InputError(where, f"0 of {len(tracks)} tracks left by {selector!r}")
        return chosen

    def target_tracks(self, dataset: str, target: str) -> list[Track]:
        """Tracks of one target of a dataset that its genomes cover; none for tables."""
        section = self.config.datasets[dataset]
        spec = section.targets[target]
        if spec.tracks is None:
            return []
        return self.select(spec.tracks, f"{self.where}: datasets.{dataset}.targets.{target}.tracks")

    def control_tracks(self, dataset: str) -> list[Track]:
        """Tracks of a dataset's control; none where it has no control."""
        control = self.config.datasets[dataset].control
        return self.select(control.tracks, f"{self.where}: datasets.{dataset}.control.tracks") if control else []

    def groups(self, dataset: str, target: str) -> dict[str, list[Track]]:
        """Tracks of a target by the sheet's ``group``; one group ``main`` for tables."""
        tracks = self.target_tracks(dataset, target)
        groups: dict[str, list[Track]] = {} if tracks else {"main": []}
        for track in tracks:
            groups.setdefault(track.group, []).append(track)
        return groups

    def window_tracks(self, dataset: str) -> list[Track]:
        """Peak tracks that decide where the windows of a dataset are (centres, 'labelled', negatives to avoid)."""
        section = self.config.datasets[dataset]
        where = f"{self.where}: datasets.{dataset}"
        names: dict[str, Track] = {}
        selectors = [getattr(section.windows, "tracks", None), section.negatives.avoid if section.negatives else None]
        if getattr(section.windows, "by_label", False):
            selectors += [t.tracks for t in section.targets.values() if t.kind == "binary"]
        for selector in selectors:
            if selector is not None:
                names |= {track.track: track for track in self.select(selector, where)}
        return list(names.values())

    def window_roles(self, dataset: str) -> dict[str, list[str]]:
        """Names of `window_tracks` by use: "windows" (centres), "avoid" (negatives), "targets/{name}" (labelled)."""
        section = self.config.datasets[dataset]
        where = f"{self.where}: datasets.{dataset}"
        roles = {"windows": getattr(section.windows, "tracks", None)}
        roles["avoid"] = section.negatives.avoid if section.negatives else None
        if getattr(section.windows, "by_label", False):
            roles |= {f"targets/{key}": t.tracks for key, t in section.targets.items() if t.kind == "binary"}
        return {
            role: [track.track for track in self.select(selector, where)]
            for role, selector in roles.items()
            if selector is not None
        }

    def grid_bp(self, dataset: str) -> int:
        """Least common multiple of the bins of a dataset's signal tracks: windows start on it."""
        targets = self.config.datasets[dataset].targets
        tracks = [track for name in targets for track in self.target_tracks(dataset, name) if track.kind == "signal"]
        return math.lcm(*(track.bin_bp or 1 for track in [*tracks, *self.control_tracks(dataset)]))

    def folds(self, model: str) -> list[str]:
        """Fold names that a model, baseline or published prediction is judged on."""
        section = self.run(model)
        split = self.config.datasets[section.dataset].split
        every = [str(fold) for fold in range(split.k)] if split.kind == "folds" else ["0"]
        for fold in section.folds or []:
            if fold not in every:
                raise InputError(self.where, f"{model}: fold {fold!r} is none of {', '.join(every)}")
        return section.folds or every

    def search_folds(self, name: str) -> list[str]:
        """Folds in which a search, or a curve, is made."""
        section = self.config.searches.get(name) or self.config.curves[name]
        return section.folds or self.folds(section.model)

    def seeds(self, model: str) -> list[int]:
        """Seeds of a model; others have the single seed 0."""
        section = self.config.models.get(model)
        return section.training.seeds if section else [0]

    def has_ensemble(self, model: str) -> bool:
        """Whether the mean over seeds of a model's predictions is made, with "mean" in place of the seed."""
        section = self.config.models.get(model)
        if section is None or section.objective.name == "autoencoder":  # numbers of its own in each run
            return False
        return section.prediction.ensemble and len(section.training.seeds) > 1

    def run(self, name: str) -> Model | Baseline | Published:
        """Section of a model, baseline or published prediction."""
        config = self.config
        return config.models.get(name) or config.baselines.get(name) or config.published[name]

    def check_sources(self) -> None:
        """Raise InputError for the first source file that is not there and that no job makes or fetches.

        Snakemake asks for a source only when it has to make something of it: without this check a path that was
        changed to a wrong one goes unnoticed while the old results exist.
        """
        tracks, genomes = read_here(self)
        sections = {name: section for name, section in self.config.genomes.items() if name in genomes}
        named = [(f"genomes.{name}", path) for name, g in sections.items() for path in g.source_files()]
        datasets = {name: section for name, section in self.config.datasets.items() if not section.stored}
        named += [(f"datasets.{name}", path) for name, d in datasets.items() for path in d.source_files()]
        named += [(f"baselines.{name}", path) for name, b in self.config.baselines.items() for path in b.source_files()]
        named += [(f"published.{name}", section.file) for name, section in self.config.published.items()]
        for section in ("maps", "motifs", "variants", "measured"):
            effects = getattr(self.config, section)
            named += [(f"{section}.{name}", path) for name, e in effects.items() for path in e.source_files()]
        named += [("reads", path) for path in self.config.reads.source_files()]
        places = [(f"{self.where}: {section}", path) for section, path in named]
        for name, experiment in self.experiments.items():
            rows = [row for runs in experiment.replicates.values() for row in runs]
            place = f"{self.config.reads.sheet}: experiment {name}"
            places += [(place, path) for row in rows for path in row.files()]
        if self.config.tracks:
            sheet = self.config.tracks.sheet
            places += [(f"{sheet}: track {name}", track.path) for name, track in self.tracks.items() if name in tracks]
        for place, path in places:
            made = FETCHED in path.parents or EXPERIMENTS in path.parents
            made |= self.config.simulation is not None and WORLD in path.parents
            if not made and not path.is_file():
                what = "is not a regular readable file" if path.exists() else f"does not exist (looked in {Path.cwd()})"
                raise InputError(place, f"{path} {what}")
        for name in self.config.models:
            for fold in self.folds(name):
                for seed in self.seeds(name):
                    given_folder(self.config.models, name, fold, seed, self.where)

    def _check_dataset(self, name: str, dataset: Dataset) -> None:
        where = f"{self.where}: datasets.{name}"
        for genome in dataset.genomes:
            if genome not in self.config.genomes:
                raise InputError(where, f"genome {genome!r} is not configured; known: {', '.join(self.config.genomes)}")
        if dataset.windows.kind in ("tiles", "peaks") and not dataset.genomes:
            raise InputError(where, f"windows of kind '{dataset.windows.kind}' need 'genomes'")
        for target_name, target in dataset.targets.items():
            check_label(target_name, where)
            if target.tracks is not None:
                self._check_target(f"{where}.targets.{target_name}", target)
        if dataset.control:
            self._check_control(f"{where}.control", dataset.control)

    def _check_target(self, where: str, target: Target) -> None:
        for track in self.select(target.tracks or "all", where):
            if track.kind == "reads":
                raise InputError(
                    where, f"track {track.track} is reads of assay {track.assay!r}, of which no signal is made"
                )
            if track.kind == "contacts":
                raise InputError(
                    where, f"track {track.track} holds contacts; no kind of window builds targets from contact maps yet"
                )
            intervals = track.kind == "intervals"
            if intervals != (target.kind == "binary"):
                raise InputError(
                    where,
                    f"track {track.track} holds {track.kind}; a {target.kind} target needs "
                    + ("intervals (peaks)" if target.kind == "binary" else "signal"),
                )
            if not intervals:
                _check_bins(where, target.bin_bp, track)

    def _check_control(self, where: str, control: Control) -> None:
        tracks = self.select(control.tracks, where)
        names = {track.track for track in tracks}
        for track in tracks:
            if track.kind != "signal":
                raise InputError(where, f"track {track.track} holds {track.kind}; a control needs signal")
            if track.strand_pair and track.strand_pair not in names:
                raise InputError(where, f"{track.strand_pair}, strand pair of {track.track}, is not in the control")
            _check_bins(where, control.bin_bp, track)

    def _check_model(self, name: str, model: Model | Baseline) -> None:
        where = f"{self.where}: {'models' if isinstance(model, Model) else 'baselines'}.{name}"
        self._check_run(where, name, model.dataset, model.targets or [])
        if not isinstance(model, Model):
            return
        kinds = {key: target.kind for key, target in self.config.datasets[model.dataset].targets.items()}
        check_heads(model.targets or {}, kinds, where)
        if model.objective.name == "supervised" and not (model.targets if model.targets is not None else kinds):
            raise InputError(where, "objective 'supervised' needs a target to learn; there is none")
        if model.objective.name == "autoencoder" and model.targets:
            raise InputError(where, "objective 'autoencoder' learns no targets; leave 'targets' out")
        margin_bp, furthest = self.config.datasets[model.dataset].margin_bp, max(map(abs, model.prediction.shifts_bp))
        for key, length in (("max_jitter_bp", model.training.max_jitter_bp), ("prediction.shifts_bp", furthest)):
            if length > margin_bp:
                raise InputError(
                    where,
                    f"{key} {length} needs margin_bp of dataset {model.dataset} to be at least as large, "
                    f"it is {margin_bp}",
                )
        if model.initial is not None:
            self._check_initial(where, name)

    def _check_initial(self, where: str, name: str) -> None:
        before = next(iter(lineage(self.config.models, name, where)), None)
        if before is None:  # it starts from a folder, which `check_sources` looks at
            return
        for fold in self.folds(name):
            if fold not in self.folds(before):
                raise InputError(
                    where, f"initial: model {before} has no fold {fold!r}; it has {', '.join(self.folds(before))}"
                )
        for seed in self.seeds(name):
            initial_seed(self.config.models, name, seed, where)

    def _check_run(self, where: str, name: str, dataset: str, targets: Iterable[str]) -> None:
        """Dataset, targets and folds of a model, baseline or published prediction exist."""
        if dataset not in self.config.datasets:
            raise InputError(where, f"dataset {dataset!r} is not configured; known: {', '.join(self.config.datasets)}")
        known = self.config.datasets[dataset].targets
        for target in targets:
            if target not in known:
                raise InputError(where, f"target {target!r} is not in dataset {dataset}: {', '.join(known)}")
        self.folds(name)
