"""One training, or one run of the loader alone, in a process of its own; prints one line of JSON.

The rate is that of the steps behind the first ones, in which the step is compiled. Waiting is the time that the loop
spends in asking for its next batch.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WARM = 3  # steps that are not counted


class Timed:
    """Batches, and how long they were waited for."""

    def __init__(self, batches: Any):
        self.batches, self.taken, self.waited, self.first, self.last = batches, 0, 0.0, 0.0, 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        begin = time.perf_counter()
        item = next(self.batches)
        self.last = time.perf_counter()
        self.taken += 1
        if self.taken > WARM:
            self.waited += self.last - begin
        elif self.taken == WARM:
            self.first = self.last
        return item

    def close(self) -> None:
        self.batches.close()

    def found(self, batch_size: int) -> dict[str, float]:
        seconds, steps = self.last - self.first, self.taken - WARM
        return {
            "seconds": seconds,
            "examples": steps * batch_size,
            "examples_per_s": steps * batch_size / seconds,
            "waiting_share": self.waited / seconds,
        }


def serve(dataset: Path, examples: int, batch_size: int) -> dict[str, float]:
    """The loader alone."""
    from bench_dataset import loader

    timed = Timed(loader(dataset, batch_size, 0))
    for _ in range(WARM + examples // batch_size):
        next(timed)
    timed.close()
    found = timed.found(batch_size)
    del found["waiting_share"]  # nothing else is done
    return found


def train(dataset: Path, steps: int, batch_size: int, network: dict[str, Any], threads: int) -> dict[str, float]:
    """A training of so many steps by the stage of the workflow."""
    from seqmill.config.models import Model
    from seqmill.runtime.device import choose_device

    choose_device("cpu", threads)

    from seqmill.training import train as stage

    plain, streams = stage.ahead, []

    def timed(items: Iterator[Any], prepare: Callable[[Any], Any], depth: int = 1) -> Timed:
        streams.append(Timed(plain(items, prepare, depth)))
        return streams[-1]

    stage.ahead = timed
    training = {
        "batch_size": batch_size, "max_epochs": 1000, "epoch_steps": steps, "max_steps": steps, "xla_threads": threads,
    }  # fmt: skip
    model = Model(dataset=dataset.stem, training=training, **network)
    with tempfile.TemporaryDirectory(prefix="seqmill-loader-") as folder:
        stage.train_model(Path(folder) / "models/net/0.0", name="net", model=model, dataset=dataset, fold="0", seed=0)
    return streams[0].found(batch_size)


def main() -> None:
    asked = json.loads(sys.argv[1])
    what, dataset = asked.pop("what"), Path(asked.pop("dataset"))
    found = {"serve": serve, "train": train}[what](dataset, **asked)
    print(json.dumps({**found, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
