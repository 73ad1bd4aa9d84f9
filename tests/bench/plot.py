#!/usr/bin/env python3
"""Draws what growth.py prints: speed and memory against length, size of a frame, and jobs.

    tests/bench/plot.py < growth.tsv > growth.svg
"""

import csv
import math
import sys

COLUMNS = {"length": "length of the stream", "frame": "pixel bytes of a frame", "jobs": "jobs"}
ROWS = {"GB/s": "GB/s of the stream", "MiB": "peak of memory, MiB"}
# Colours that those who confuse red and green tell apart, and that are dark enough on white.
COLOURS = {
    "cat": "#777777",
    "sx-encode -0": "#0072b2",
    "sx-decode of -0": "#56a5d8",
    "sx-encode -3": "#b84a00",
    "sx-decode of -3": "#e69f00",
}
WIDTH, HEIGHT = 250, 170  # of a panel
LEFT, TOP, GAP_X, GAP_Y = 50, 60, 50, 75


def main():
    table = list(csv.DictReader(sys.stdin, delimiter="\t"))
    width = LEFT + len(COLUMNS) * (WIDTH + GAP_X) - 20
    height = TOP + len(ROWS) * (HEIGHT + GAP_Y) - 10
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"')
    print('  font-family="sans-serif" font-size="12" fill="#222222">')
    print("<title>Speed and memory of sx-encode and sx-decode in a pipe</title>")
    print(f'<rect width="{width}" height="{height}" fill="#ffffff"/>')
    legend()
    for row, unit in enumerate(ROWS):
        for column, grows in enumerate(COLUMNS):
            lines = [line for line in table if line["grows"] == grows]
            shown_too = table if unit == "GB/s" else lines  # speeds are compared across panels
            most = nice(max(float(line[unit]) for line in shown_too))
            x, y = LEFT + column * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y)
            print(f'<g transform="translate({x} {y})">')
            panel(lines, grows, unit, most)
            print("</g>")
    print("</svg>")


def legend():
    x = LEFT
    for name, colour in COLOURS.items():
        print(f'<path d="M{x} 20h22" stroke="{colour}" stroke-width="2.5"{dashes(name)}/>')
        print(f'<circle cx="{x + 11}" cy="20" r="3" fill="{colour}"/>')
        text(x + 28, 24, name, "start")
        x += 50 + 7.5 * len(name)


def dashes(name):
    return ' stroke-dasharray="4 3"' if name == "cat" else ""


def panel(lines, grows, unit, most):
    """Draws axes and a line for each program, in a panel whose top left corner is 0 0."""
    places = across({int(line["to"]) for line in lines}, grows)
    for step in range(5):
        y = HEIGHT - HEIGHT * step / 4
        print(f'<path d="M0 {y:g}h{WIDTH}" stroke="{"#888888" if step == 0 else "#dddddd"}"/>')
        text(-6, y + 4, f"{most * step / 4:g}", "end")
    room = math.inf
    for value, x in sorted(places.items(), reverse=True):
        print(f'<path d="M{x:.1f} {HEIGHT}v4" stroke="#888888"/>')
        if x < room:
            text(x, HEIGHT + 17, shown(value, grows), "middle")
            room = x - 48
    text(0, -10, ROWS[unit], "start")
    text(WIDTH / 2, HEIGHT + 35, COLUMNS[grows], "middle")
    for name, colour in COLOURS.items():
        points = [(places[int(l["to"])], HEIGHT - HEIGHT * float(l[unit]) / most) for l in lines if l["program"] == name]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        print(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes(name)}/>')
        for x, y in points:
            print(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>')


def across(values, grows):
    """Where values stand in a panel: by their logarithm, but for jobs."""
    scale = (lambda value: value) if grows == "jobs" else math.log2
    first, last = scale(min(values)), scale(max(values))
    return {value: 20 + (WIDTH - 40) * (scale(value) - first) / max(last - first, 1) for value in values}


def text(x, y, words, anchor):
    print(f'<text x="{x:.4g}" y="{y:g}" text-anchor="{anchor}">{words}</text>')


def nice(most):
    """The end of an axis that shows so much: 1, 2, 4 or 8 times a power of ten."""
    power = 0.001
    while True:
        for factor in 1, 2, 4, 8:
            if most <= factor * power:
                return factor * power
        power *= 10


def shown(value, grows):
    if grows == "jobs":
        return str(value)
    for shift, unit in (30, "GiB"), (20, "MiB"), (10, "KiB"):
        if value >> shift:
            return f"{value >> shift} {unit}"
    return str(value)


if __name__ == "__main__":
    main()
