"""``python -m slotaudio_music [NAME]`` prints the paths of the recipes, or of one: what `slotaudio train` takes."""

import sys

from slotaudio_music import RECIPES


def main(names: list[str]) -> int:
    """Print paths; the exit code is 2 for an unknown name."""
    known = {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no recipe named {unknown[0]!r}; the recipes are: {', '.join(known)}", file=sys.stderr)
        return 2
    print(*(known[name] for name in names or known), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
