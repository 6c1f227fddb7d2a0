#!/usr/bin/env python3
"""Counts the instructions of fixed small runs under valgrind and holds them against bench/instructions.json.

usage: bench/instructions.py [--build build/portable] [--renew]
Instructions, unlike seconds, are the same in every run and on every machine, so that a change that makes something slower
is noticed on a busy one. A run that takes 5 % more or fewer than the baseline ends it with 1; --renew writes the baseline
anew. The build is one without AVX-512 (cmake --preset portable -DSANDGLASS_SIMT=ON), which valgrind does not know. With another compiler,
oneDNN or valgrind than the baseline's, the counts are printed and not compared.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).resolve().parent / "instructions.json"
TOLERANCE = 0.05
FUNCTIONS = 100  # of a run, those with most instructions, among which the report of a difference finds who changed

BENCH = "bench --iterations 1"
SMALL = "--set width=64 --set input_size=128"
TINY = "--set width=16 --set input_size=32 --set depth=1"
RUNS = {
    "infer_cpu": f"{BENCH} --mode infer --batch 4 --device cpu {SMALL}",
    "train_cpu": f"{BENCH} --mode train --batch 2 --device cpu {SMALL}",
    "infer_simt_fp32": f"{BENCH} --mode infer --batch 2 --device simt --precision fp32 {TINY}",
    "train_simt_bf16": f"{BENCH} --mode train --batch 1 --device simt --precision bf16 {TINY}",
    "synth": "synth --out faces --subjects 1 --images-per-subject 3 --seed 1",
}


def run(command, folder):
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "2000",
                   "LC_ALL": "C"}
    # The program restarts itself to set GOMP_SPINCOUNT where it is not set, which valgrind does not follow.
    try:
        finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"instructions.py: {command[0]}: {error.strerror}; scripts/install.sh tests installs what is needed")
    if finished.returncode:
        sys.exit(f"instructions.py: {' '.join(command)} ended with {finished.returncode}: "
                 + (finished.stderr.strip() or "no message").splitlines()[-1])
    return finished.stdout


def count(program, arguments):
    """{"total": instructions, "functions": {name: instructions within it alone}}"""
    with tempfile.TemporaryDirectory() as folder:
        run(["valgrind", "--tool=callgrind", "--callgrind-out-file=counts", program, *arguments.split()], folder)
        listing = run(["callgrind_annotate", "--threshold=100", "--show-percs=no", "counts"], folder)
    functions = {}
    total = None
    for line in listing.splitlines():
        match = re.match(r"\s*([\d,]+)\s+(.*)", line)
        if not match:
            continue
        instructions, name = int(match[1].replace(",", "")), match[2]
        if name.startswith("PROGRAM TOTALS"):
            total = instructions
        elif total is not None:
            name = re.sub(r" \[[^]]*\]$", "", name.split(":", 1)[-1])  # without file and object
            name = re.sub(r"^0x[0-9a-f]+$", "code without a name", name)
            functions[name] = functions.get(name, 0) + instructions
    most = sorted(functions, key=functions.get, reverse=True)[:FUNCTIONS]
    return {"total": total, "functions": {name: functions[name] for name in most}}


def versions(program):
    information = run([program, "info"], "/")
    lines = [line.strip() for line in information.splitlines()]
    found = [line for line in lines if line.startswith(("built with", "oneDNN "))]
    return found + [run(["valgrind", "--version"], "/").strip()]


def main():
    parser = argparse.ArgumentParser(usage="bench/instructions.py [--build build/portable] [--renew]")
    parser.add_argument("--build", default="build/portable")
    parser.add_argument("--renew", action="store_true")
    options = parser.parse_args()
    program = os.path.abspath(os.path.join(options.build, "sandglass"))
    if not os.access(program, os.X_OK):
        sys.exit(f"instructions.py: there is no {program}; build it, or name its folder with --build")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(lambda arguments: count(program, arguments), RUNS.values())
        now = {"versions": versions(program), "runs": dict(zip(RUNS, counts))}
    if options.renew:
        BASELINE.write_text(json.dumps(now, indent=1) + "\n")
        print(f"written: {BASELINE}")
        return
    baseline = json.loads(BASELINE.read_text())
    comparable = baseline["versions"] == now["versions"]
    different = []
    for name, counts in now["runs"].items():
        before = baseline["runs"].get(name, {"total": None, "functions": {}})
        change = counts["total"] / before["total"] - 1 if before["total"] else float("inf")
        print(f"{name:16} {counts['total'] / 1e6:9.1f} million instructions, {100 * change:+.2f} % of the baseline's")
        if abs(change) <= TOLERANCE:
            continue
        different.append(name)
        growth = {f: counts["functions"].get(f, 0) - before["functions"].get(f, 0)
                  for f in {**before["functions"], **counts["functions"]}}
        for function in sorted(growth, key=lambda f: -abs(growth[f]))[:5]:
            print(f"    {growth[function] / 1e6:+9.1f} million  {function[:100]}")
    if not comparable:
        print(f"not compared: the baseline is for {baseline['versions']}, this is {now['versions']}")
    elif different:
        sys.exit(f"instructions.py: {', '.join(different)} differ by more than {TOLERANCE:.0%}. If that is meant, "
                 "run bench/instructions.py --renew and commit bench/instructions.json.")


if __name__ == "__main__":
    main()
