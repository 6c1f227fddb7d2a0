#!/usr/bin/env python3
"""Writes the measured tables of docs/performance.md and the plots beside it from the files in bench/results.

usage: python3 bench/report.py [--check]
A table stands between the lines `<!-- compare FILE -->` (of bench/compare.py) or `<!-- kernels FILE -->` (of sandglass_bench)
and `<!-- end -->`, FILE relative to the repository. Each file of kernels also gets a roofline in docs/images for each of its
precisions. --check changes nothing and ends with 1 if a table or a plot is not what its file says.
"""
import json
import pathlib
import re
import statistics
import sys

import kernel_tables
import roofline_plot

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
TABLE = re.compile(r"(<!-- (compare|kernels) (\S+) -->\n).*?(<!-- end -->)", re.S)
NETWORK_GFLOP = 2 * 5.139  # of a face's forward pass; sandglass bench --explain counts it


def milliseconds(times):
    middle = statistics.median(times)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    spread = f" ({min(times):.{digits}f} to {max(times):.{digits}f})" if len(times) > 1 else ""
    return f"{middle:.{digits}f} ms{spread}"


def row(*cells):
    return "| " + " | ".join(cells) + " |\n"


def table(result):
    """Each case's programs, and Sandglass's time in parts of theirs: the median of the rounds' ratios."""
    text = row("", "batch", "precision", "threads", "program", "time", "Sandglass / program", "memory")
    text += "|---" * 8 + "|\n"
    for case in result["cases"]:
        own = case["milliseconds"].get("Sandglass")
        head = (case["mode"], str(case["batch"]), case["precision"], str(case.get("threads", "")))
        for program, times in case["milliseconds"].items():
            ratio = "" if program == "Sandglass" or not own else \
                f"{statistics.median(a / b for a, b in zip(own, times)):.2f}"
            mib = case.get("peak_resident_mib", {}).get(program.split()[0])
            text += row(*head, program, milliseconds(times), ratio, f"{mib:.0f} MiB" if mib else "")
            head = ("", "", "", "")
        rates = result.get("sgemm_gflops", {}).get(str(case.get("threads")))
        if rates and own and case["mode"] == "infer":
            rate = statistics.median(NETWORK_GFLOP * case["batch"] / t * 1e3 / r for t, r in zip(own, rates))
            text += row(*head, "oneDNN's sgemm", f"{statistics.median(rates):.0f} GFLOP/s",
                        f"{rate:.2f} of its rate", "")
    return text


def plot_name(file, precision):
    """bench/results/DEVICE/DATE_kernels.json: roofline_DEVICE_DATE_PRECISION.svg"""
    return f"roofline_{file.parent.name}_{file.stem.removesuffix('_kernels')}_{precision}.svg"


def kernels(file, result, images):
    text = ""
    for precision in result["context"].get("ceilings", {}):
        name = plot_name(file, precision)
        images[IMAGES / name] = roofline_plot.roofline_svg(result, precision)
        text += f"![Rates of all kernels and the machine's ceilings, {precision}](images/{name})\n\n"
    return kernel_tables.tables(result) + text


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__.split("\n\n")[1].splitlines()[0])
    page = PAGE.read_text()
    images = {}

    def written(match):
        kind, file = match[2], ROOT / match[3]
        if not file.exists():
            sys.exit(f"report.py: {PAGE.relative_to(ROOT)} asks for {match[3]}, which is not there")
        try:
            result = json.loads(file.read_text())
            return match[1] + (table(result) if kind == "compare" else kernels(file, result, images)) + match[4]
        except (ValueError, KeyError, TypeError) as error:
            maker = "bench/compare.py" if kind == "compare" else "sandglass_bench"
            sys.exit(f"report.py: {match[3]} is no file of {maker} ({error!r}); measure again or restore it")

    new = TABLE.sub(written, page)
    if sys.argv[1:] == ["--check"]:
        if new != page:
            sys.exit(f"report.py: {PAGE.relative_to(ROOT)} does not say what bench/results/ holds; run bench/report.py")
        for file, content in images.items():
            if not file.exists() or file.read_text() != content:
                sys.exit(f"report.py: {file.relative_to(ROOT)} does not show what bench/results/ holds; run bench/report.py")
    else:
        PAGE.write_text(new)
        for file, content in images.items():
            file.write_text(content)


if __name__ == "__main__":
    main()
