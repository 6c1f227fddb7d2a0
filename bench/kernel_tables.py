"""Tables of a file of sandglass_bench, for bench/report.py."""
import statistics

DIRECTIONS = ("conv_forward", "conv_backward_data", "conv_backward_weights")


def disturbed(row):
    """Whether other programs took most of its samples' time, as the median then shows."""
    return row["microseconds"]["median"] > 2 * row["microseconds"]["least"]


def measured(result):
    """The rows that have times: `us` and `part`, its ceiling's part, of the median; of the least time if it was disturbed."""
    rows = [row for row in result["benchmarks"] if "microseconds" in row]
    for row in rows:
        times = row["microseconds"]
        row["us"] = times["least"] if disturbed(row) else times["median"]
        if "part_of_ceiling" in row:
            row["part"] = row["part_of_ceiling"] * times["median"] / row["us"]
    return rows


def row_text(*cells):
    return "| " + " | ".join(cells) + " |\n"


def header(*cells):
    return row_text(*cells) + "|---" * len(cells) + "|\n"


def spread(values, unit="", factor=1):
    """Median, and least to most where there are several."""
    if not values:
        return ""
    digits = 2 if factor == 1 else 0
    texts = [f"{factor * value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))]
    return texts[0] + unit + (f" ({texts[1]} to {texts[2]})" if len(values) > 1 else "")


def peers_of(rows):
    return sorted({row["library"] for row in rows if row["library"] != "sandglass"})


def ratios(rows, library):
    return [row["sandglass_to_peer"]["median"] for row in rows if row["library"] == library and not disturbed(row)]


def milliseconds(value):
    return f"{value:.2f} ms" if value < 100 else f"{value:.0f} ms"


def table_of_mode(rows, title, times, batch, precision):
    """The operations of a network, those first that take the most time, each shape as often as the network has it."""
    rows = [row for row in rows if row["batch"] in (batch, None) and row["precision"] == precision and row[times]]
    own = [row for row in rows if row["library"] == "sandglass"]
    total = {}
    for row in own:
        total[row["operation"]] = total.get(row["operation"], 0) + row["us"] * row[times] / 1e3
    if not total:
        return ""
    peers = peers_of(rows)
    text = f"{title}, batch {batch}, {precision}: {milliseconds(sum(total.values()))} in all.\n\n"
    text += header("operation", "shapes", "time", "part", "of its ceiling", *(f"Sandglass / {peer}" for peer in peers),
                   "furthest below its ceiling")
    for operation in sorted(total, key=total.get, reverse=True):
        group = [row for row in own if row["operation"] == operation]
        parts = [row["part"] for row in group if "part" in row]
        # What a better kernel would save, not the smallest part: of a tiny shape that is no loss.
        worst = max(group, key=lambda row: row["us"] * row[times] * (1 - row.get("part", 1)))
        against = [row for row in rows if row["operation"] == operation]
        text += row_text(operation, str(len(group)), milliseconds(total[operation]),
                         f"{100 * total[operation] / sum(total.values()):.0f} %", spread(parts, " %", 100),
                         *(spread(ratios(against, peer)) for peer in peers),
                         f"{worst['shape']}" if len(group) > 1 else "")
    return text + "\n"


def table_of_plain(rows, precisions):
    """Convolutions without any option, which libraries have as well."""
    rows = [row for row in rows if row["operation"] in DIRECTIONS and row["variant"] == "plain"]
    peers = peers_of(rows)
    if not peers:
        return ""
    text = "Bare convolutions, all shapes of the network:\n\n"
    text += header("direction", "batch", "precision", "of its ceiling", *(f"Sandglass / {peer}" for peer in peers),
                   "largest ratio")
    for direction in DIRECTIONS:
        for batch in sorted({row["batch"] for row in rows}):
            for precision in precisions:
                group = [row for row in rows
                         if (row["operation"], row["batch"], row["precision"]) == (direction, batch, precision)]
                parts = [row["part"] for row in group if row["library"] == "sandglass" and "part" in row]
                against = [row for row in group if row["library"] != "sandglass" and not disturbed(row)]
                if not against:
                    continue
                worst = max(against, key=lambda row: row["sandglass_to_peer"]["median"])
                text += row_text(direction, str(batch), precision, spread(parts, " %", 100),
                                 *(spread(ratios(group, peer)) for peer in peers), worst["shape"])
    return text + "\n"


def tables(result):
    rows = measured(result)
    context = result["context"]
    precisions = sorted({row["precision"] for row in rows})
    batches = sorted({row["batch"] for row in rows if row["batch"]})
    ceilings = "; ".join(f"{precision}: {c['gigabytes_per_s']:g} GB/s and {c['teraflops_per_s'] * 1e3:.0f} GFLOP/s"
                         for precision, c in context.get("ceilings", {}).items())
    text = (f"{context['description']}; {context['date'][:10]}, commit {context['commit']}, {context['compiler']}; "
            f"caches {context['cache'].split(':')[0]}. Ceilings, {context['ceilings_are']} first: {ceilings}.")
    count = sum(map(disturbed, rows))
    if count:
        text += (f" Other programs disturbed {count} of the {len(rows)} rows so much that their median is more than twice their least time: "
                 "for these the least time stands, and no ratio.")
    text += "\n\n"
    for precision in precisions:
        text += table_of_mode(rows, "Training step", "times_in_training_step", batches[-1], precision)
        text += table_of_mode(rows, "Inference", "times_in_inference", batches[0], precision)
    return text + table_of_plain(rows, precisions)
