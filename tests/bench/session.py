#!/usr/bin/env python3
"""Runs a terminal session with the real programs and draws it as SVG.

    tests/bench/session.py > man/session.svg

The programs are those on PATH. The session runs in a temporary folder, with a store of its own there.
"""

import html
import os
import re
import subprocess
import sys
import tempfile

# A line is a command; `#` starts a comment that is drawn and not run. Output is drawn as it comes.
SESSION = """\
# Keep a folder as pictures. Any 2 of each 6 pictures may be lost.
tar c photos | sx-encode | sx-put --parity 4+2 > photos.key
cut -c 1-64 photos.key
# Lose two of them, whichever they are.
ls pictures/*/*.png | wc -l
rm $(ls pictures/*/*.png | head -n 2)
sx-get --check photos.key
# The folder comes back all the same.
sx-get photos.key | sx-decode | tar d && echo the same, bit for bit
# Store again what was lost. The key stays.
sx-get --repair photos.key > repaired.key && cmp photos.key repaired.key
sx-get --check photos.key | tail -n 1
"""

PROMPT = "$ "
COLUMNS = 86
FONT, LINE, MARGIN = 14, 20, 18


def main():
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        environment = dict(os.environ, SX_STORE="./pictures", LC_ALL="C")
        for command in SESSION.splitlines():
            if command.startswith("#"):
                lines.append(("comment", command))
                continue
            lines.append(("command", PROMPT + command))
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            if done.returncode not in (0, 3):
                sys.exit(f"{command}: exit status {done.returncode}: {done.stdout}")
            output = re.sub(r"file:///\S*?(?=/pictures)", "file://…", done.stdout)
            lines += [("output", line) for line in output.splitlines()]
    print(draw(wrap(lines)))


def prepare(folder):
    """Makes a folder that is the same each time: noise does not compress."""
    os.mkdir(os.path.join(folder, "photos"))
    for number in range(4):
        state, noise = number + 1, bytearray()
        while len(noise) < 4_000_000:
            state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
            noise += state.to_bytes(8, "little")
        with open(os.path.join(folder, "photos", f"{number}.raw"), "wb") as file:
            file.write(noise)


def wrap(lines):
    """Cuts lines that are longer than the terminal is wide."""
    for kind, line in lines:
        while True:
            yield kind, line[:COLUMNS]
            line = line[COLUMNS:]
            if not line:
                break


def draw(lines):
    lines = list(lines)
    width = MARGIN * 2 + round(COLUMNS * FONT * 0.602)
    height = MARGIN * 2 + len(lines) * LINE
    rows = [
        f'<text x="{MARGIN}" y="{MARGIN + FONT + LINE * number}" class="{kind}">{html.escape(line)}</text>'
        for number, (kind, line) in enumerate(lines)
    ]
    style = (
        f"text {{ font: {FONT}px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; "
        "white-space: pre; fill: #c9d1d9 } .command { fill: #ffffff; font-weight: 600 } "
        ".comment { fill: #7d9f6a }"
    )
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">',
        "<title>A folder is kept as pictures, two are lost, and everything comes back</title>",
        f"<style>{style}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#161b22"/>',
        *rows,
        "</svg>",
    ])


if __name__ == "__main__":
    main()
