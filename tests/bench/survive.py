#!/usr/bin/env python3
"""What sturdy pictures survive: encoder by encoder, quality by quality, level by level.

    cargo build --release --locked
    python3 -m venv v && v/bin/pip install pillow && npm install --prefix v sharp
    NODE_PATH=v/node_modules v/bin/python tests/bench/survive.py --results survived.tsv [-j N]

Encoders, each left out with a note where it is missing: Pillow (libjpeg-turbo, libwebp); cjpeg
(Debian libjpeg-turbo-progs); ImageMagick (imagemagick); GD (php-cli php-gd); Go's image/jpeg
(golang-go); libvips and mozjpeg (npm's sharp).

A cell is a level, an encoder and its options. It takes N pictures of noise and N of zeros, each of other
width and height, from half of --size up to it; a frame of zeros differs from another only by these. It
ends with a line in the file of results: pictures, lost ones, the mean share of bytes that had to be
corrected, and the bytes that were wrong in the worst code word of all, of which 16 can be corrected. What
stands there already isn't run again, so a run that was interrupted goes on. At the end comes a table,
encoder by encoder; the exit status is 1 if a picture was lost.
"""

import argparse
import functools
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
BINARIES = os.path.join(HERE, "../../target/release")
BITS = {1: 137, 2: 112, 3: 76, 4: 46}  # of a block
BATCH = 100  # pictures that an encoder gets at once

# What each level is to survive: the lowest qualities, and some above.
JPEG = {1: (85, 90, 95), 2: (75, 85, 95), 3: (50, 60, 75, 85), 4: (50, 60, 75, 85)}
MOZJPEG = {1: (90, 95), 2: (80, 90), 3: (60, 75, 80, 90), 4: (60, 75, 80, 90)}
WEBP = {1: (90, 95), 2: (90, 95), 3: (80, 90), 4: (60, 80, 90)}
SUBSAMPLING = {"4:4:4": "1x1", "4:2:2": "2x1", "4:2:0": "2x2"}

# Each of these gives a function that encodes pictures by their names: in/NAME.png to out/NAME.


def pillow(form, **options):
    def encode(names):
        for name in names:
            picture = Image.open(f"in/{name}.png")
            if form == "WEBP" or options.get("subsampling") is not None:
                picture = picture.convert("RGB")
            picture.save(f"out/{name}", form, **options)

    return encode


def twice(*qualities):
    def encode(names):
        for name in names:
            picture = Image.open(f"in/{name}.png").convert("RGB")
            for quality in qualities:
                jpeg = io.BytesIO()
                picture.save(jpeg, "JPEG", quality=quality)
                picture = Image.open(jpeg)
            with open(f"out/{name}", "wb") as file:
                file.write(jpeg.getvalue())

    return encode


def cjpeg(*words):
    def encode(names):
        for name in names:
            pixels = io.BytesIO()
            Image.open(f"in/{name}.png").convert("RGB").save(pixels, "PPM")
            run("cjpeg", *words, "-outfile", f"out/{name}", input=pixels.getvalue())

    return encode


def imagemagick(*words):
    def encode(names):
        run("mogrify", "-path", "out", "-format", "jpg", *words, *(f"in/{name}.png" for name in names))
        for name in names:
            os.rename(f"out/{name}.jpg", f"out/{name}")

    return encode


def program(*words):
    """A program that gets the names as its last arguments."""
    return lambda names: run(*words, *names)


def run(*words, **options):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **options)


PHP = """
array_shift($argv); $quality = (int) array_shift($argv); $interlaced = array_shift($argv) == 'progressive';
foreach ($argv as $name) {
    $picture = imagecreatefrompng("in/$name.png");
    imageinterlace($picture, $interlaced);
    imagejpeg($picture, "out/$name", $quality);
}
"""

GO = """
package main

import ("image"; "image/draw"; "image/jpeg"; "image/png"; "os"; "strconv")

func must(err error) { if err != nil { panic(err) } }

func main() { // QUALITY gray|colour NAME...
	quality, err := strconv.Atoi(os.Args[1])
	must(err)
	for _, name := range os.Args[3:] {
		in, err := os.Open("in/" + name + ".png")
		must(err)
		picture, err := png.Decode(in)
		must(err)
		if os.Args[2] == "colour" {
			colour := image.NewRGBA(picture.Bounds())
			draw.Draw(colour, colour.Bounds(), picture, image.Point{}, draw.Src)
			picture = colour
		}
		out, err := os.Create("out/" + name)
		must(err)
		must(jpeg.Encode(out, picture, &jpeg.Options{Quality: quality}))
		must(out.Close())
		must(in.Close())
	}
}
"""

SHARP = """
const sharp = require('sharp'), [options, ...names] = process.argv.slice(1);
(async () => {
  for (const name of names)
    await sharp(`in/${name}.png`).toColourspace('srgb').jpeg(JSON.parse(options)).toFile(`out/${name}`);
})();
"""


def sharp(**options):
    return program("node", "-e", SHARP, json.dumps(options))


def has(*words):
    """Whether a command is there and succeeds."""
    return shutil.which(words[0]) and subprocess.run(words, capture_output=True).returncode == 0


@functools.cache
def missing():
    """The encoders that aren't there."""
    tools = {
        "cjpeg": shutil.which("cjpeg"),
        "ImageMagick": has("mogrify", "-version"),
        "GD": has("php", "-r", "imagecreatetruecolor(1, 1);"),
        "Go": has("go", "version"),
        "sharp": has("node", "-e", "require('sharp')"),
    }
    return [name for name, there in tools.items() if not there]


def cells(level, go):
    """Names and encoders of what a level is to survive."""
    for quality in JPEG[level]:
        yield from jpeg_cells(quality, go)
    if "sharp" not in missing():
        for quality in MOZJPEG[level]:
            for subsampling in "4:4:4", "4:2:0":
                encode = sharp(quality=quality, mozjpeg=True, chromaSubsampling=subsampling)
                yield f"mozjpeg {quality} {subsampling} progressive", encode
    for quality in WEBP[level]:
        yield f"libwebp {quality}", pillow("WEBP", quality=quality)
    lowest = JPEG[level][0]
    yield f"Pillow 90, then {lowest}", twice(90, lowest)


def jpeg_cells(quality, go):
    yield f"Pillow {quality} gray", pillow("JPEG", quality=quality)
    yield f"Pillow {quality} gray progressive", pillow("JPEG", quality=quality, progressive=True)
    for at, (subsampling, factors) in enumerate(SUBSAMPLING.items()):
        for progressive in (False, True):
            label = f"{quality} {subsampling}{' progressive' if progressive else ''}"
            yield f"Pillow {label}", pillow("JPEG", quality=quality, subsampling=at, progressive=progressive)
            if "cjpeg" not in missing():
                words = ["-progressive"] if progressive else []
                yield f"cjpeg {label}", cjpeg("-quality", str(quality), "-sample", factors, *words)
            if "ImageMagick" not in missing():
                scan = "JPEG" if progressive else "none"
                words = ["-colorspace", "sRGB", "-type", "TrueColor", "-quality", str(quality)]
                yield f"ImageMagick {label}", imagemagick(*words, "-sampling-factor", factors, "-interlace", scan)
            if "sharp" not in missing() and subsampling != "4:2:2":
                encode = sharp(quality=quality, progressive=progressive, chromaSubsampling=subsampling)
                yield f"libvips {label}", encode
    if "GD" not in missing():
        for scan in "", " progressive":
            yield f"GD {quality}{scan}", program("php", "-r", PHP, "--", str(quality), scan.strip())
    if go:
        for kind in "gray", "colour":
            yield f"Go {quality} {kind}", program(go, str(quality), kind)


def payload(level, width, height):
    """Bytes that fill a frame of this size."""
    words = width * height // 64 * BITS[level] // 2040
    return words * 223 - 36


def make(level, kind, count, most, folder):
    """So many pictures of this level, NAME.png; their names."""
    numbers, names = random.Random(f"{level} {kind}"), []
    side = lambda most: numbers.randrange(most // 32 * 16, most // 16 * 16 + 1, 16)
    for at in range(count):
        width, height = map(side, most)
        size = payload(level, width, height)
        data = bytes(size) if kind == "zeros" else numbers.randbytes(size)
        names.append(f"{kind}{at:05}")
        command = [os.path.join(BINARIES, "sx-encode"), "-0", "--sturdy", str(level), "-j", "1"]
        with open(os.path.join(folder, names[-1] + ".png"), "wb") as file:
            subprocess.run([*command, "-W", str(width), "-H", str(height)], input=data, stdout=file, check=True)
    return names


def read_back(pictures):
    """Lost pictures, and the corrections of the others."""
    lost, found = 0, []
    while pictures:
        listing = subprocess.run(
            [os.path.join(BINARIES, "sx-decode"), "--list", "--json", "-j", "1"],
            input=b"".join(pictures), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        frames = [json.loads(line) for line in listing.stdout.splitlines()]
        found += frames
        if listing.returncode == 0:
            assert len(frames) == len(pictures)
            break
        lost += 1
        pictures = pictures[len(frames) + 1 :]
    return lost, found


def run_cell(level, label, encode, source, names):
    """The line of a cell."""
    lost, corrected, worst, size = 0, 0.0, 0, 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(source)) as folder:
        os.chdir(folder)
        os.symlink(source, "in")
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            os.mkdir("out")
            encode(batch)
            pictures = [open(os.path.join("out", name), "rb").read() for name in batch]
            shutil.rmtree("out")
            gone, frames = read_back(pictures)
            lost += gone
            corrected += sum(frame["corrected"] for frame in frames)
            worst = max([worst, *(frame["worst"] for frame in frames)])
            size += sum(map(len, pictures))
        os.chdir("/")
    share = 100 * corrected / max(1, len(names) - lost)
    took = time.monotonic() - started
    return f"{level}\t{label}\t{len(names)}\t{lost}\t{share:.3f}\t{worst}\t{size // len(names)}\t{took:.0f}\n"


def work(task):
    level, label, source, names, go, file, stamp = task
    encode = dict(cells(level, go))[label]
    line = run_cell(level, label, encode, source, names)
    with open(file, "a") as results:  # a line at once
        results.write(stamp + "\t" + line)


def table(lines):
    """A table of all results: encoder by encoder, the worst of its cells."""
    print("level  encoder      quality  cells  pictures  lost  corrected, at most  worst word")
    rows = {}
    for line in lines:
        _, level, label, pictures, lost, share, worst, *_ = line.split("\t")
        encoder, quality = re.match(r"(\S+) (\d+(?:, then \d+)?)", label).groups()
        row = rows.setdefault((level, encoder, quality), [0, 0, 0, 0.0, 0])
        row[:] = [row[0] + 1, row[1] + int(pictures), row[2] + int(lost), max(row[3], float(share)), max(row[4], int(worst))]
    for (level, encoder, quality), (count, pictures, lost, share, worst) in rows.items():
        print(f"{level:6} {encoder:12} {quality:>7} {count:6} {pictures:9} {lost:5} {share:17.3f} %      {worst:2} of 16")
    return sum(row[2] for row in rows.values())


def built_go(folder):
    """The Go program, or None."""
    if "Go" in missing():
        return None
    source, binary = os.path.join(folder, "encode.go"), os.path.join(folder, "encode")
    with open(source, "w") as file:
        file.write(GO)
    cache = dict(os.environ, GOCACHE=os.path.join(folder, "cache"), GO111MODULE="off")
    subprocess.run(["go", "build", "-o", binary, source], check=True, env=cache)
    shutil.rmtree(cache["GOCACHE"])
    return binary


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000, metavar="N", help="of noise, and as many of zeros")
    parser.add_argument("--size", default="512x384", metavar="WIDTHxHEIGHT", help="of the largest pictures")
    parser.add_argument("--levels", default="1234")
    parser.add_argument("--only", default="", metavar="PATTERN", help="cells whose name matches")
    parser.add_argument("--results", required=True, metavar="FILE")
    parser.add_argument("-j", type=int, default=1, metavar="JOBS", help="cells at once")
    return parser.parse_args()


def main():
    chosen = options()
    file = os.path.abspath(chosen.results)
    stamp = f"{chosen.pictures} {chosen.size}"
    for name in missing():
        print(f"survive.py: note: no {name}", file=sys.stderr)
    is_ours = lambda line: line.startswith(stamp + "\t")
    seen = lambda: [line for line in open(file) if is_ours(line)] if os.path.exists(file) else []
    done = {tuple(line.split("\t")[1:3]) for line in seen()}
    most = [int(side) for side in chosen.size.split("x")]
    with tempfile.TemporaryDirectory() as folder:
        go = built_go(folder)
        for level in map(int, chosen.levels):
            labels = [label for label, _ in cells(level, go) if re.search(chosen.only, label)]
            labels = [label for label in labels if (str(level), label) not in done]
            if not labels:
                continue
            source = os.path.join(folder, str(level))
            os.mkdir(source)
            names = [name for kind in ("noise", "zeros") for name in make(level, kind, chosen.pictures, most, source)]
            tasks = [(level, label, source, names, go, file, stamp) for label in labels]
            with multiprocessing.Pool(chosen.j) as pool:
                for _ in pool.imap_unordered(work, tasks):
                    pass
            shutil.rmtree(source)
    sys.exit(table(seen()) > 0)


if __name__ == "__main__":
    main()
