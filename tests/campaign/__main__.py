"""Run the campaigns, and write their figures as a table.

    cd tests && python -m campaign
    cd tests && python -m campaign --short --only "disk full" "malicious files"

It ends with an error if anything went wrong.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from campaign import CAMPAIGNS

HEADLINES = {
    "bad inputs": "bad inputs tried {n}, wrong behaviours {wrong}",
    "faults": "faults injected {n}, survived {right}",
    "relations": "relations checked {n}, broken {wrong}",
}
COLUMNS = ("campaign", "kind", "tried", "wrong", "seconds", "figures")


def run(name, is_short):
    """Run a campaign; return its outcome and the seconds."""
    campaign = CAMPAIGNS[name]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        size = campaign.n_short if is_short else campaign.n_full
        outcome = campaign.run(size, Path(folder))
    return outcome, time.perf_counter() - start


def row(name, outcome, seconds):
    """Return a campaign's cells."""
    notes = ", ".join(f"{key} {value:.3g}" for key, value in outcome.notes.items())
    counts = (outcome.n_tried, len(outcome.wrong), f"{seconds:.0f}")
    return name, CAMPAIGNS[name].kind, *counts, notes


def main(argv=None):
    """Run campaigns by name; tell how many went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="as the tests run them")
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, default=CAMPAIGNS)
    args = parser.parse_args(argv)
    tried, wrong = Counter(), Counter()
    table = [COLUMNS, ("---",) * len(COLUMNS)]
    for name in args.only:
        outcome, seconds = run(name, args.short)
        kind = CAMPAIGNS[name].kind
        tried[kind] += outcome.n_tried
        wrong[kind] += len(outcome.wrong)
        table.append(row(name, outcome, seconds))
        print(*table[-1], sep=", ", flush=True)
        print(*(f"  WRONG: {text}" for text in outcome.wrong), sep="\n", end="")
    print(*(f"\n| {' | '.join(map(str, cells))} |" for cells in table), sep="")
    for kind, headline in HEADLINES.items():
        counts = {"n": tried[kind], "wrong": wrong[kind]}
        print(headline.format(**counts, right=tried[kind] - wrong[kind]))
    return wrong.total()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    sys.exit(min(main(), 1))
