"""Store the large matrices of checkpoints as int8, with a scale for each row: python -m recipes.int8 FILE..."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr.model.checkpoint import store_int8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="checkpoints, changed where they lie")
    for path in parser.parse_args().files:
        before = path.stat().st_size
        store_int8(path)
        print(f"{path}: {before / 1e6:.1f} -> {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
