"""Sturdy pictures, from storagex(5) and not from our code: slow, and with integers only."""

import blake3

LUMINANCE = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87,
    80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92,
    95, 98, 112, 100, 103, 99,
]
ZIGZAG = sorted(range(64), key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8))
COSINES = [724, 1004, 946, 851, 724, 569, 392, 200]


def table(level):
    """Steps and bits of the coefficients that carry, in zigzag order: how the page's tables were made."""
    scale = {1: 30, 2: 50, 3: 100, 4: 0}[level]
    quantum = [min(255, max(1, (q * scale + 50) // 100)) for q in LUMINANCE]
    steps = [44 if level == 4 else round(1.3 * quantum[at] + 3) for at in ZIGZAG]
    steps = steps[: [43, 43, 36, 21][level - 1]]
    bits, power = [0] * len(steps), 0
    while True:
        cost, i = min((s * s * 4**n, i) for i, (s, n) in enumerate(zip(steps, bits)))
        power += cost * 3 / 12
        if power > 64 * 36**2:
            return steps, bits
        bits[i] += 1


def cosine(u, x):
    """2048 times the value at x of the basis function of frequency u, rounded."""
    turn = (2 * x + 1) * u % 32
    sign = -1 if 8 < turn < 24 else 1
    turn = min(turn, 32 - turn)
    turn = 16 - turn if turn > 8 else turn
    return COSINES[4] if u == 0 else 0 if turn == 8 else sign * COSINES[turn]


def times(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def generator():
    polynomial, root = [1], 1
    for _ in range(32):
        shifted = polynomial + [0]
        polynomial = [a ^ times(b, root) for a, b in zip(shifted, [0] + polynomial)]
        root = times(root, 2)
    return polynomial


GENERATOR = generator()


def check_bytes(data):
    rest = list(data) + [0] * 32
    for at in range(len(data)):
        factor = rest[at]
        for i, g in enumerate(GENERATOR):
            rest[at + i] ^= times(g, factor)
    return bytes(rest[-32:])


def layout(size, level):
    """Code words, bytes of each, bits of the picture."""
    bits = size[0] * size[1] // 64 * sum(table(level)[1])
    count = bits // 8
    words, length = (count // 255, 255) if count >= 255 else (1, count)
    return words, length, bits


def frame_bytes(size, level):
    words, length, _ = layout(size, level)
    return words * (length - 32)


def gray(frame, size, level, damage=lambda words: None, variant=0):
    """The samples of the picture that carries these frame bytes, with a variant of the mask; `damage` may change
    code words."""
    words, length, bits = layout(size, level)
    data = length - 32
    assert len(frame) == words * data
    coded = [bytearray(frame[w * data : (w + 1) * data]) for w in range(words)]
    for word in coded:
        word += check_bytes(word)
    damage(coded)
    stream = bytes(coded[(at - c * c) % words][c] for c in range(length) for at in range(words))
    stream += bytes(-(-bits // 8) - len(stream))
    mask = blake3.blake3(b"storagex 2 sturdy" + bytes([variant] if variant else [])).digest(length=len(stream))
    line = "".join(f"{a ^ b:08b}" for a, b in zip(stream, mask))
    width, height = size
    blocks = width * height // 64
    halves = [[0] * 64 for _ in range(blocks)]
    at = 0
    for i, (step, n) in enumerate(zip(*table(level))):
        for block in range(blocks):
            symbol, x = line[at : at + n], 0
            at += n
            for bit in symbol:
                x = x << 1 | (x & 1 ^ int(bit))
            halves[block][ZIGZAG[i]] = (2 * x - (1 << n) + 1) * step if n else 0
    samples = bytearray(width * height)
    for block, half in enumerate(halves):
        top, left = block // (width // 8) * 8, block % (width // 8) * 8
        rows = [[sum(cosine(u, x) * half[8 * v + u] for u in range(8)) + 256 >> 9 for x in range(8)] for v in range(8)]
        for y in range(8):
            for x in range(8):
                pixel = 128 + (sum(cosine(v, y) * rows[v][x] for v in range(8)) + 8192 >> 14)
                samples[(top + y) * width + left + x] = min(255, max(0, pixel))
    return bytes(samples)
