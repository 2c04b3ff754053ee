"""Trials of a search in one fold: which settings are tried, by whom, and what is known of them. No training here.

A study is a journal of optuna (Akiba et al. 2019, KDD, "Optuna: A Next-generation Hyperparameter Optimization
Framework") beside the folders of its trials. Any number of processes and machines may add to it; the journal's lock is
the house's, which the kernel frees when its owner dies. What is drawn for a trial depends on the seed, its number, the
name of the setting and the trials told before it, so that one worker that is killed and goes on ends like one that
was left alone.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from seqmill.config.search import Choice, Search
from seqmill.runtime.errors import LockedError
from seqmill.runtime.locks import Lock, acquire, artefact_lock

JOURNAL = "journal.log"
WAIT_S = 600.0  # an append takes milliseconds; so long only behind an owner that cannot be proven dead
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_STUDY = "search"


class _JournalLock(JournalFileOpenLock):
    """The house's lock for optuna's journal; a line that a killed writer left unfinished is cut off first."""

    def __init__(self, journal: Path):
        super().__init__(str(journal))
        self.journal = journal
        self._held: Lock | None = None

    def acquire(self) -> bool:
        self._held = acquire(self.journal.with_name(f".{JOURNAL}.lock"), str(self.journal), wait_s=WAIT_S)
        cut_unfinished_line(self.journal)
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._held = None


def cut_unfinished_line(journal: Path) -> None:
    """Cut off what follows the last line end of a journal: the writer died, and nobody has read it as an entry."""
    data = journal.read_bytes() if journal.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with open(journal, "r+b") as handle:
            handle.truncate(whole)


def draw(trial: Trial, key: str, choice: Choice) -> Any:
    """What a trial has for one setting; drawn, if it has nothing yet. Choices are JSON text, as they may be lists."""
    if choice.choices is not None:
        return trial.suggest_categorical(key, [json.dumps(value) for value in choice.choices])
    assert choice.low is not None and choice.high is not None
    if choice.whole:
        return trial.suggest_int(key, int(choice.low), int(choice.high), log=choice.log, step=int(choice.step or 1))
    return trial.suggest_float(key, float(choice.low), float(choice.high), log=choice.log, step=choice.step)


def settings_of(params: Mapping[str, Any], search: Search) -> dict[str, Any]:
    """Settings by dotted key, from what optuna keeps of a trial."""
    return {
        key: json.loads(params[key]) if choice.choices is not None else params[key]
        for key, choice in search.space.items()
    }


class _Sampler(optuna.samplers.BaseSampler):
    """optuna's samplers, with a seed for each trial and setting instead of a state that a kill would lose."""

    def __init__(self, search: Search):
        self.search = search

    def _fresh(self, number: int, name: str) -> optuna.samplers.BaseSampler:
        text = f"{self.search.seed} {number} {name}".encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
        if self.search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        # trials that still run count as bad ones: workers then do not all try the same
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.search.startup_trials, constant_liar=True)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        fresh = self._fresh(trial.number, param_name)
        return fresh.sample_independent(study, trial, param_name, param_distribution)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=search.startup_trials, n_warmup_steps=1)
    if search.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(bootstrap_count=0)
    return optuna.pruners.NopPruner()


class Claim:
    """A trial that this process works on; ``with`` frees it, told or not."""

    def __init__(self, trial: Trial, settings: dict[str, Any], folder: Path, lock: Lock):
        self.trial, self.settings, self.folder, self._lock = trial, settings, folder, lock

    @property
    def number(self) -> int:
        return self.trial.number

    def report(self, step: int, value: float) -> None:
        """Tell a value on the way. Raises optuna.TrialPruned if the trial does not promise."""
        known = self.trial.study.get_trials(deepcopy=False)[self.number].intermediate_values
        if step not in known:  # else told by a worker that was killed
            self.trial.report(value, step)
        if self.trial.should_prune():
            raise optuna.TrialPruned

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Study:
    """The trials of one fold.

    Parameters
    ----------
    folder : of the journal and the trials; made if it is not there. search : its section.
    """

    def __init__(self, folder: Path, search: Search):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.search = folder, search
        folder.mkdir(parents=True, exist_ok=True)
        journal = folder / JOURNAL
        with artefact_lock(folder, wait_s=WAIT_S):
            cut_unfinished_line(journal)
            storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=_JournalLock(journal)))
            self.study = optuna.create_study(
                storage=storage,
                study_name=_STUDY,
                sampler=_Sampler(search),
                pruner=_pruner(search),
                direction="minimize",
                load_if_exists=True,
            )
        self.storage, self._id = storage, storage.get_study_id_from_name(_STUDY)

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False)

    def ended(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state in ENDED]

    def claim(self) -> Claim | None:
        """A trial whose worker died, else a new one; None when all that are wanted ended or have a living worker."""
        with artefact_lock(self.folder, wait_s=WAIT_S):
            trials = self.trials()
            for trial in trials:
                if trial.state not in ENDED and (lock := self._lock(trial.number)):
                    logging.getLogger("seqmill").info("trial %d goes on", trial.number)
                    found = self.storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
                    return self._claimed(Trial(self.study, found), lock)
            if len(trials) >= self.search.trials:
                return None
            asked = self.study.ask()
            lock = self._lock(asked.number)
            assert lock is not None  # nobody else knows of this trial yet
            return self._claimed(asked, lock)

    def _lock(self, number: int) -> Lock | None:
        """The lock of a trial, None if a living worker holds it."""
        try:
            return acquire(self.place(number).with_name(f".{number}.lock"), f"trial {number}", wait_s=0.0)
        except LockedError:
            return None

    def place(self, number: int) -> Path:
        """Folder of what a trial writes."""
        return self.folder / "trials" / str(number)

    def _claimed(self, trial: Trial, lock: Lock) -> Claim:
        params = {key: draw(trial, key, choice) for key, choice in self.search.space.items()}
        return Claim(trial, settings_of(params, self.search), self.place(trial.number), lock)

    def tell(self, claim: Claim, value: float | None, *, pruned: bool = False, reason: str = "") -> None:
        """The end of a trial: a value, or pruned, or failed for a reason."""
        if reason:
            claim.trial.set_user_attr("reason", reason)
        state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else TrialState.COMPLETE
        self.study.tell(claim.trial, value if state == TrialState.COMPLETE else None, state=state)

    def best(self) -> FrozenTrial | None:
        """The trial with the smallest value (the first of equal ones); None if none has one."""
        whole = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        return min(whole, key=lambda trial: (trial.value, trial.number), default=None)

    def importance(self) -> dict[str, float]:
        """Share of the spread of the values that each setting explains; empty where the trials cannot tell.

        fANOVA (Hutter, Hoos & Leyton-Brown 2014, ICML): a random forest of the values, its variance by setting.
        """
        whole = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        values = np.array([trial.value for trial in whole])
        if len(whole) < 4 or np.ptp(values) == 0 or len(self.search.space) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.search.seed)
        found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {key: float(found.get(key, 0.0)) for key in self.search.space}
