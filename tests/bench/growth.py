#!/usr/bin/env python3
"""How speed and memory grow with the length of a stream, the size of a frame, and the jobs.

    PATH=…/target/release:$PATH tests/bench/growth.py > growth.tsv
    tests/bench/plot.py < growth.tsv > tests/bench/growth.svg

Prints a table: what grows and to how much, the program, its speed in GB/s of the stream (the median of
the runs) and its peak of memory in MiB. Needs the Debian package time, which tells that. From the
environment: LONGEST=8192, MiB of the longest stream; FIXED=512, of those in which frames and jobs grow;
RUNS=5.

Each program stands in a pipe between two `cat`s, and so does, to compare, a `cat`. What goes through is
a tar of what is in /usr: its first 64 MiB, again and again where the stream is longer. Frames are so
much smaller that nothing is gained by that; a decoder gets as many streams, one after another.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run

MIB = 1 << 20
PIECE = 64  # MiB
FULL = 1024 * 768 * 3  # bytes of pixels of a frame by default
PROGRAMS = ["cat", "sx-encode -0", "sx-decode of -0", "sx-encode -3", "sx-decode of -3"]

longest = int(os.environ.get("LONGEST", 8192))
fixed = int(os.environ.get("FIXED", 512))
runs = int(os.environ.get("RUNS", 5))


def main():
    for program in ["sx-encode", "sx-decode", "time"]:
        if not shutil.which(program):
            sys.exit(f"growth.py: error: no {program}, expected it on PATH")
    cores = os.cpu_count()
    print("grows", "to", "program", "GB/s", "MiB", sep="\t")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_piece()
        for length in [1, 8, 64, 512, 2048, 8192]:
            if length <= longest:
                measure("length", length * MIB, length, FULL, cores)
        for frame in [1 << n for n in range(16, 25)]:
            measure("frame", frame, fixed, frame, cores)
        for jobs in [1, 2, 3, 4]:
            measure("jobs", jobs, fixed, FULL, jobs)


def make_piece():
    run(f"tar -C /usr -c include share lib 2>/dev/null | head -c {PIECE}M >piece", shell=True, check=True)


def measure(grows, to, length, frame, jobs):
    """Prints a row for each program, with a stream of `length` MiB."""
    size = [] if frame == FULL else [f"-{side}{round((frame / 3) ** 0.5)}" for side in "WH"]
    part = Path("part")
    part.write_bytes(Path("piece").read_bytes()[: length * MIB])
    times = max(1, length // PIECE)
    for program in PROGRAMS:
        name, level = program.split()[0], program.split()[-1]
        command, source = [name], part
        if name == "sx-encode":
            command = [name, level, f"-j{jobs}", *size]
        if name == "sx-decode":
            command, source = [name, f"-j{jobs}"], Path("frames")
            run(["sx-encode", level, *size, "-o", source, part], check=True)
        results = [time_in_pipe(command, [source] * times) for _ in range(runs)]
        seconds = statistics.median(result[0] for result in results)
        peak = max(result[1] for result in results)
        row = [grows, to, program, f"{length * MIB / seconds / 1e9:.3f}", f"{peak / 1024:.1f}"]
        print(*row, sep="\t", flush=True)


def time_in_pipe(command, files):
    """Seconds of `cat FILES | COMMAND | cat`, and the peak of the command in KiB."""
    start = time.perf_counter()
    first = Popen(["cat", *files], stdout=PIPE)
    middle = Popen(["time", "-f", "%M", "-o", "peak", *command], stdin=first.stdout, stdout=PIPE)
    last = Popen(["cat"], stdin=middle.stdout, stdout=DEVNULL)
    first.stdout.close()
    middle.stdout.close()
    for process in first, middle, last:
        if process.wait() != 0:
            sys.exit(f"growth.py: error: status {process.returncode} of {process.args}")
    return time.perf_counter() - start, int(Path("peak").read_text())


if __name__ == "__main__":
    main()
