#!/usr/bin/env python3
"""Draws the picture of a sturdy frame in README: python3 tests/bench/sturdy_picture.py >man/sturdy.png

Needs Pillow, and sx-encode and sx-decode on PATH. From the left: 64 x 64 pixels of a frame of level 2,
which carries storagex(5); the same of its JPEG of quality 75, from which the page is decoded before
anything is drawn; and what the JPEG has changed, eight times as strong, around grey.
"""

import io
import os
import subprocess
import sys

from PIL import Image, ImageChops

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../man/storagex.5")
QUALITY = 75
CROP = 128, 96, 192, 160
SCALE = 4
GAP = 12


def main():
    with open(PAGE, "rb") as file:
        page = file.read()
    frame = piped("sx-encode", "--sturdy", "2", input=page)
    before = Image.open(io.BytesIO(frame))
    jpeg = io.BytesIO()
    before.convert("RGB").save(jpeg, "JPEG", quality=QUALITY)
    assert piped("sx-decode", input=jpeg.getvalue()) == page
    after = Image.open(jpeg).convert("L")
    change = ImageChops.subtract(after, before, scale=1 / 8, offset=128)
    parts = [part.crop(CROP) for part in (before, after, change)]
    parts = [part.resize([side * SCALE for side in part.size], Image.Resampling.NEAREST) for part in parts]
    width, height = parts[0].size
    drawn = Image.new("L", (len(parts) * (width + GAP) - GAP, height), 255)
    for at, part in enumerate(parts):
        drawn.paste(part, (at * (width + GAP), 0))
    drawn.save(sys.stdout.buffer, "PNG", optimize=True)


def piped(*command, input):
    return subprocess.run(command, input=input, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    main()
