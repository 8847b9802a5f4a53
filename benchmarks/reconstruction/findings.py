"""The three findings of the paper's Figure 3, confirmed or refuted by a study."""

import statistics

# How far below the given vectors the widest network may be, on each set of pairs.
_NEAR = 0.03

# Means of a few seeds differ by this much by chance; "not below" is meant within it.
_CHANCE = 0.005
_SETS_APART = " · "


def findings(results: dict) -> list[str]:
    """A sentence for each finding that the study's trainings can tell of, and the numbers it rests on."""
    trainings = results["trainings"]
    widths = sorted({one["inter_dim"] for one in trainings})
    seeds = sorted({one["seed"] for one in trainings})
    if not widths:
        return []

    def rho(name: str, kind: str, fix_base: bool, width: int) -> float | None:
        key = (kind, fix_base, width)
        found = [
            one["similarity"][name]["rho"]
            for one in trainings
            if (one["filter"], one["fix_base"], one["inter_dim"]) == key
        ]
        return statistics.mean(found) if found else None

    def sentence(text: str, pairs: list[tuple[str, float | None, float | None, float]]) -> str:
        known = [
            (name, first, second, slack)
            for name, first, second, slack in pairs
            if first is not None and second is not None
        ]
        held = [first >= second - slack for _, first, second, slack in known]
        verdict = "not measured" if not known else "confirmed" if all(held) else "refuted"
        numbers = _SETS_APART.join(f"{name} {first:.3f} and {second:.3f}" for name, first, second, _ in known)
        return f"{text}: {verdict} ({numbers})" if known else f"{text}: {verdict}"

    narrow, wide = widths[0], widths[-1]
    names = list(results["given"])
    every = [(name, kind, width) for name in names for kind in ("binary", "real") for width in widths]
    lines = [
        sentence(
            f"at D_inter = {wide:,} {kind} filters reach rho of the given vectors within {_NEAR}",
            [(name, rho(name, kind, False, wide), results["given"][name]["rho"], _NEAR) for name in names],
        )
        for kind in ("real", "binary")
    ]
    lines.append(
        sentence(
            f"at D_inter = {narrow:,} real filters are not below binary ones",
            [(name, rho(name, "real", False, narrow), rho(name, "binary", False, narrow), _CHANCE) for name in names],
        )
    )
    both = [(rho(name, kind, False, width), rho(name, kind, True, width)) for name, kind, width in every]
    differences = [first - second for first, second in both if first is not None and second is not None]
    if differences:
        mean = statistics.mean(differences)
        better = sum(difference >= -_CHANCE for difference in differences)
        verdict = "confirmed" if mean >= -_CHANCE else "refuted"
        lines.append(
            f"training o is not below a fixed o: {verdict} (it is not below in {better} of {len(differences)} means; "
            f"mean difference {mean:+.4f}, from {min(differences):+.3f} to {max(differences):+.3f})"
        )
    lines.append(f"{len(trainings)} trainings, seeds {', '.join(map(str, seeds))}, {results['epochs']} epochs each")
    return lines
