"""Downloads under network faults, side by side: ours, `wget -c`, and a plain download with requests.

Each cell of tests/portal/cells.py is one fault of a server on 127.0.0.1; each trial asks for one pinned file. An
outcome is the pinned bytes, an error, a hang (no end within 12 s; silence is scaled to 0.5 s for all clients), or
other bytes than the pinned ones that were taken for the file (the peers know no checksum, as in most scripts). Peers
are run a second time if they fail, as users do. Then downloads that are killed at random moments, and the peak request
rate of several processes that ask a failing host.

Usage: python benchmarks/faults_download.py [TRIALS]   (300 a cell by default)
"""

import multiprocessing
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import ROOT, write_result

sys.path.insert(0, str(ROOT / "tests"))
from portal import Fault, Portal
from portal.campaign import CELLS, ours, peak_rate, plain_requests, run_cell, wget, world
from portal.killed import kill_trials

WORKERS = 32
LIMIT_PER_S = 5


def campaign(client_name: str, trials: int, folder: Path) -> list[dict]:
    """One row a cell."""
    rows = []
    with world(client_name) as place:
        client, end = {"wget -c": wget, "requests": plain_requests}.get(client_name), lambda: None
        if client is None:
            client, end = ours(place.portal.sources(folder, bodies_per_host=64))
        for cell in CELLS:
            if client_name != "ours" and not cell.peers:
                continue
            verdicts = run_cell(cell, place, client, folder, range(trials), WORKERS)
            count = Counter(verdict.outcome for verdict in verdicts)
            row = {
                "client": client_name,
                "fault": cell.fault,
                "cell": cell.name,
                "trials": trials,
                "identical": count["identical"],
                "error": count["error"],
                "hang": count["hang"] + count["crash"],
                "wrong_accepted": count["WRONG"],
                "slowest_s": round(max(verdict.seconds for verdict in verdicts), 2),
            }
            if client_name == "ours":
                faults = [verdict.fault for verdict in verdicts if verdict.fault]
                row |= {"not_as_it_should_be": len(faults), "first_of_them": faults[:3]}
            if cell.fault == "none" and count["identical"] < 0.95 * trials:  # times are short, machines may be busy
                raise SystemExit(f"{client_name}: fails without any fault: {verdicts[0]}")
            rows.append(row)
            print({key: value for key, value in row.items() if value != []}, flush=True)
            place.portal.clear()
        end()
    return rows


def ask(sources, url: str, times: int) -> None:
    from seqmill.runtime.errors import RemoteError
    from seqmill.sources.web import Web

    with Web(sources) as web:
        for _ in range(times):
            try:
                web.json(url)
            except RemoteError as error:
                print("rate: ", error)


def rate(folder: Path) -> dict:
    """Four processes ask a host that refuses every third time, at ENCODE's limit."""
    with Portal() as portal:
        url = portal.add("/encode/x/", {"a": 1})
        for _ in range(20):
            portal.fault("/encode/x/", Fault(), 2)
            portal.fault("/encode/x/", Fault(status=503, headers={"Retry-After": "0"}), 1)
        sources = portal.sources(folder, requests_per_s={"127.0.0.1": LIMIT_PER_S})
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=ask, args=(sources, url, 10)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return {"limit_per_s": LIMIT_PER_S, "peak_per_s": peak_rate(portal.log), "requests": len(portal.log)}


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = [row for name in ("ours", "wget -c", "requests") for row in campaign(name, trials, folder / name)]
        if not report(rows, kill_trials(folder / "kills", trials), rate(folder / "rate")):
            sys.exit(1)


def report(rows: list[dict], kills: list[dict], peak: dict) -> bool:
    """Write the result; whether all is as it should be."""
    wrong = {
        name: sum(row["wrong_accepted"] for row in rows if row["client"] == name)
        for name in ("ours", "wget -c", "requests")
    }
    unexpected = sum(row.get("not_as_it_should_be", 0) for row in rows) + sum(bool(row["fault"]) for row in kills)
    write_result(
        "faults_download",
        wrong["ours"] + unexpected,
        "wrong files accepted, unclear errors and failed recoveries",
        "0",
        sum(row["trials"] for row in rows if row["client"] == "ours") + len(kills),
        rows,
        wrong_accepted=wrong,
        kills={
            "trials": len(kills),
            "kills_within_a_download": sum(row.get("kills", 0) for row in kills),
            "failed": [row for row in kills if row["fault"]],
            "most_sent_of_a_file": round(max(row.get("sent", 0) for row in kills), 2),
        },
        rate=peak,
    )
    return not (wrong["ours"] or unexpected or peak["peak_per_s"] > LIMIT_PER_S)


if __name__ == "__main__":
    main()
