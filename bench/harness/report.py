"""The table and build/bench/results.json."""

import json

from .questions import LOWER, OURS

COLUMNS = ("figure", "side", "median", "± mad", "unit", "runs", "ours is", "aim", "reached")
RIGHT = {"median", "± mad", "runs", "ours is"}


def number(value):
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 3 if abs(value) >= 0.01 else 2
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.6f}"


def placement_text(measurement, cpus):
    first, last = cpus[0], cpus[-1]
    text = {
        "one_cpu": f"one thread on CPU {first}",
        "same_cpu": f"both ends on CPU {first}",
        "across": f"across CPU {first} and CPU {last}",
        "spinning": f"across CPU {first} and CPU {last}, both ends spinning",
        "free": f"not pinned, {len(cpus)} CPU{'s' if len(cpus) > 1 else ''}",
    }[measurement.placement]
    return f"{text}; {measurement.about}" if measurement.about else text


def cpus_used(measurement, cpus):
    return {"one_cpu": 1, "same_cpu": 1, "across": 2, "spinning": 2}.get(measurement.placement, len(cpus))


def medians(result, figure):
    values = {side.name: result.median(figure, side.name) for side in result.measurement.sides}
    return {name: value[0] for name, value in values.items() if value is not None}


def verdicts(figure, values):
    """Of each aim whether it is reached; none where a value is missing."""
    try:
        return [aim.reached(values) for aim in figure.aims] if OURS in values else []
    except KeyError:
        return []


def reached(figure, values):
    """True, False, or None where it cannot be said."""
    found = verdicts(figure, values)
    return all(found) if found else None


def reached_text(figure, values):
    found = verdicts(figure, values)
    if not found:
        return "—"
    if all(found):
        return "yes"
    return "no" if len(found) == 1 else f"no, {sum(found)} of {len(found)}"


def advantage(figure, values, side):
    """How many times better ours is than `side`."""
    if OURS not in values or side not in values or 0 in (values[OURS], values[side]):
        return None
    return values[side] / values[OURS] if figure.better == LOWER else values[OURS] / values[side]


def limit_of(figure, values):
    return values.get(figure.limit) if isinstance(figure.limit, str) else figure.limit


def figure_rows(result, figure, cpus):
    values = medians(result, figure)
    rows = []
    for side in result.measurement.sides:
        is_ours = side.name == OURS
        row = {"figure": figure.name if not rows else "", "side": side.name + (" (limit)" if side.floor else "")}
        if side.name in values:
            middle, deviation = result.median(figure, side.name)
            row |= {"median": number(middle), "± mad": number(deviation), "unit": figure.unit if figure.unit != "ratio" else ""}
            row["runs"] = str(result.runs(side.name))
        else:
            row["median"] = "failed"
        if is_ours:
            row |= {"aim": " and ".join(aim.text for aim in figure.aims) or "—", "reached": reached_text(figure, values)}
        else:
            factor = advantage(figure, values, side.name)
            row["ours is"] = f"{number(factor)} ×" if factor is not None else ""
        rows.append(row)
    if isinstance(figure.limit, (int, float)):
        row = {"side": "(limit)", "median": number(figure.limit), "unit": figure.unit if figure.unit != "ratio" else ""}
        factor = advantage(figure, values | {"": figure.limit}, "")
        row["ours is"] = f"{number(factor)} ×" if factor is not None else ""
        rows.append(row)
    return rows


def table(results, cpus):
    blocks = []
    for result in results:
        for figure in result.measurement.figures:
            heading = f"{figure.name}  {figure.title}; {figure.better} is better; {placement_text(result.measurement, cpus)}"
            blocks.append((heading, figure_rows(result, figure, cpus)))
    rows = [row for _, block in blocks for row in block]
    shown = COLUMNS[1:]
    widths = {name: max([len(name), *(len(row.get(name, "")) for row in rows)]) for name in shown}

    def line(row):
        cells = (row.get(name, "").rjust(widths[name]) if name in RIGHT else row.get(name, "").ljust(widths[name])
                 for name in shown)  # fmt: skip
        return ("  " + "  ".join(cells)).rstrip()

    lines = [line({name: name for name in shown})]
    for heading, block in blocks:
        lines += ["", heading, *map(line, block)]
    lines += ["", "“ours is”: how many times better fourfold is; below 1 it is worse. Medians with their median absolute deviation."]
    return "\n".join(lines)


def entries(results, cpus):
    """What results.json holds. `placement`, `aim`, `aim_reached`, `peer_runs` (only where they differ) and `variants`
    (only where there are some) are additions."""
    return [_entry(result, figure, cpus) for result in results for figure in result.measurement.figures]


def _entry(result, figure, cpus):
    measurement = result.measurement
    values = medians(result, figure)
    peers = [side.name for side in measurement.sides if side.name != OURS and not side.floor and not side.variant]
    variants = [side.name for side in measurement.sides if side.variant]
    ours = result.median(figure, OURS) if OURS in result.samples else None
    runs = result.runs(OURS) if ours else max(map(result.runs, peers), default=0)
    entry = {
        "name": figure.name,
        "unit": figure.unit,
        "better": figure.better,
        "fourfold": ours[0] if ours else None,
        "peers": {name: values[name] for name in peers if name in values},
        "limit": limit_of(figure, values),
        "cpus": cpus_used(measurement, cpus),
        "runs": runs,
        "mad": ours[1] if ours else None,
        "placement": placement_text(measurement, cpus),
        "aim": " and ".join(aim.text for aim in figure.aims) or None,
        "aim_reached": reached(figure, values),
    }
    fewer = {name: result.runs(name) for name in peers if result.runs(name) != runs}
    if fewer:
        entry["peer_runs"] = fewer
    if variants:
        entry["variants"] = {name: values[name] for name in variants if name in values}
    return entry


def write_json(path, results, cpus):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(entries(results, cpus), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
