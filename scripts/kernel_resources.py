#!/usr/bin/env python3
"""What ptxas gave each CUDA kernel: registers, shared memory, and whether it spills.

Reads the reports that a build with SANDGLASS_CUDA=ON leaves beside its objects (cmake/keep_ptxas_report.sh), so build
first.

    scripts/kernel_resources.py build/cuda --write docs/kernel_resources.md    make the page
    scripts/kernel_resources.py build/cuda --check docs/kernel_resources.md    does the page list the same kernels?

Either way fails on a kernel that spills registers, has a stack frame, or whose asynchronous matrix products (wgmma) the
compiler had to run one after another. Register counts differ between compilers and are not compared.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

Kernel = namedtuple("Kernel", "source name")
Resources = namedtuple("Resources", "registers shared")

COMPILING = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
FUNCTION = re.compile(r"Function properties for (\S+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")
SERIALISED = re.compile(r"wgmma.*serialized.*", re.IGNORECASE)


def fail(message):
    sys.exit(f"kernel_resources: error: {message}")


def reports(build):
    """(source, text of ptxas's report) of every CUDA source that this build compiles."""
    commands = build / "compile_commands.json"
    if not commands.exists():
        fail(f"{commands} does not exist; configure and build first: cmake --preset cuda && cmake --build --preset cuda")
    root = Path(__file__).resolve().parent.parent
    found = []
    for entry in json.loads(commands.read_text()):
        source = Path(entry["file"])
        if source.suffix != ".cu" or " -x cu " not in entry["command"]:
            continue
        arguments = shlex.split(entry["command"])
        report = Path(entry["directory"]) / (arguments[arguments.index("-o") + 1] + ".ptxas")
        if not report.exists():
            fail(f"{report} does not exist; build first: cmake --build {build}")
        found.append((source.relative_to(root).as_posix(), report.read_text()))
    if not found:
        fail(f"{build} compiles no CUDA sources; configure it with -DSANDGLASS_CUDA=ON")
    return found


def demangle(names):
    result = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, result.stdout.splitlines()))


def short_name(demangled):
    """`void sandglass::(anonymous namespace)::peak<4, true>(int, Arguments)` -> `peak<4, true>`."""
    name = demangled.replace("(anonymous namespace)::", "")
    name = re.sub(r"\b(\w+::)+", "", name)
    name = re.sub(r"\((?:int|bool|unsigned|unsigned int|long|LossFunction)\)", "", name)
    depth = 0
    for at, character in enumerate(name):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "(" and depth == 0:
            name = name[:at]
            break
    return name.removeprefix("void ").strip()


def read(build):
    """{Kernel: {architecture: Resources}} and a list of what must not be."""
    entries, frames, problems = [], [], []
    for source, text in reports(build):
        problems += [f"{source}: {wrong}" for wrong in SERIALISED.findall(text)]
        kernel = architecture = function = None
        for line in text.splitlines():
            if match := COMPILING.search(line):
                kernel, architecture = match.groups()
            elif match := FUNCTION.search(line):
                function = match[1]  # the kernel, or what it calls
            elif (match := STACK.search(line)) and any(map(int, match.groups())):
                frames.append((source, function, architecture, match[0]))
            elif match := USED.search(line):
                entries.append((source, kernel, architecture, Resources(int(match[1]), int(match[2] or 0))))
    names = demangle(sorted({entry[1] for entry in entries + frames}))
    kernels = {}
    for source, symbol, architecture, resources in entries:
        kernels.setdefault(Kernel(source, short_name(names[symbol])), {})[architecture] = resources
    for source, symbol, architecture, frame in frames:
        problems.append(f"{source}: {short_name(names[symbol])} on {architecture}: {frame}")
    if not kernels:
        fail(f"the reports in {build} name no kernel")
    return kernels, problems


def architectures(kernels):
    return sorted({architecture for found in kernels.values() for architecture in found})


def page(kernels):
    all_architectures = architectures(kernels)
    titles = ["kernel"] + [f"registers {a}" for a in all_architectures] + ["shared memory, bytes"]
    lines = [
        "# Registers and shared memory of the CUDA kernels",
        "",
        "Made by `scripts/kernel_resources.py build/cuda --write docs/kernel_resources.md` from ptxas's reports; do not",
        "edit. Registers are those of one thread, shared memory is what a block declares (kernels that ask for dynamic",
        "shared memory say how much in their file). No kernel spills or has a stack frame: the same script checks it in",
        "`scripts/test.sh`. A kernel of a header is listed under each source that instantiates it.",
    ]
    source = None
    for kernel in sorted(kernels):
        if kernel.source != source:
            source = kernel.source
            lines += ["", f"## [{source}](../{source})", "", "| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
        found = kernels[kernel]
        registers = [str(found[a].registers) if a in found else "-" for a in all_architectures]
        shared = sorted({resources.shared for resources in found.values()})
        cells = [f"`{kernel.name}`", *registers, " / ".join(map(str, shared))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def kernels_of(text):
    """The kernels and architectures that a page lists."""
    listed, listed_architectures, source = set(), set(), None
    for line in text.splitlines():
        if match := re.match(r"## \[(.+?)\]", line):
            source = match[1]
        elif match := re.match(r"\| `(.+?)` \|", line):
            listed.add(Kernel(source, match[1]))
        elif line.startswith("| kernel |"):
            listed_architectures.update(re.findall(r"registers (\S+)", line))
    return listed, sorted(listed_architectures)


def check_page(path, kernels):
    """What the page and the build do not agree on."""
    listed, listed_architectures = kernels_of(path.read_text()) if path.exists() else (set(), [])
    if listed_architectures and listed_architectures != architectures(kernels):
        print(f"kernel_resources: the build is for {', '.join(architectures(kernels))}, {path} for "
              f"{', '.join(listed_architectures)}: the names of the kernels are not compared")
        return []
    return ([f"{kernel.source}: {kernel.name} is not in {path}" for kernel in sorted(set(kernels) - listed)] +
            [f"{kernel.source}: {kernel.name} is in {path} and not in the build" for kernel in sorted(listed - set(kernels))])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="build folder, for example build/cuda")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="PAGE")
    action.add_argument("--check", type=Path, metavar="PAGE")
    arguments = parser.parse_args()

    kernels, problems = read(arguments.build)
    if arguments.write:
        arguments.write.write_text(page(kernels))
    else:
        differences = check_page(arguments.check, kernels)
        problems += differences
        if differences:
            problems.append(f"make the page anew: scripts/kernel_resources.py {arguments.build} --write {arguments.check}")
    for problem in problems:
        print(f"kernel_resources: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"kernel_resources: {len(kernels)} kernels for {', '.join(architectures(kernels))}, none spills")


if __name__ == "__main__":
    main()
