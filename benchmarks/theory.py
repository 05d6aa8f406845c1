"""Side-by-side times of the theory wing, printed as ratios.

Run: OMP_NUM_THREADS=1 python benchmarks/theory.py"""

import resource
import subprocess
import sys
import time

import numpy as np

import fracrepro as fr

WIDTH, DEPTH = 64, 100


def best(call, repeats=3):
    """The least of a few wall-clock times, which other work on the machine disturbs least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def full_numpy(networks):
    """Norms from real weight matrices, in float64."""
    rng = np.random.default_rng(0)
    scale = np.sqrt(2 / WIDTH)
    for _ in range(networks):
        x = np.ones(WIDTH) / np.sqrt(WIDTH)
        for _ in range(DEPTH):
            x = np.maximum(scale * rng.standard_normal((WIDTH, WIDTH)) @ x, 0)
            np.linalg.norm(x)


def full_torch(networks):
    """The same in torch and float32, on one thread."""
    import torch

    torch.set_num_threads(1)
    scale = (2 / WIDTH) ** 0.5
    weight = torch.empty(WIDTH, WIDTH)
    for _ in range(networks):
        x = torch.full((WIDTH,), WIDTH**-0.5)
        for _ in range(DEPTH):
            x = torch.relu(weight.normal_(0, scale) @ x)
            x.norm()


def full_pairs(networks, depth):
    """Gram matrices of two inputs from real weight matrices, in float64, many networks at once."""
    rng = np.random.default_rng(0)
    x = np.ones((networks, 2, WIDTH)) / np.sqrt(WIDTH)
    x[:, 1, ::2] *= -1
    for _ in range(depth):
        x = np.maximum(x @ (np.sqrt(2 / WIDTH) * rng.standard_normal((networks, WIDTH, WIDTH))), 0)
        x @ x.mT


def chain(networks, depth):
    """The same by the chain of Gram matrices."""
    gram_chain = fr.GramChain(WIDTH, fr.ReLU(), 2 / WIDTH)
    gram_chain.sample(networks, depth, np.eye(2), rng=np.random.default_rng(0))


def simulate(width, n=10_000):
    fr.simulate_log_norms(n, DEPTH, width, fr.ReLU(), 2 / width, rng=np.random.default_rng(0))


def law():
    x = np.linspace(-20, 10, 1000)
    fr.LogNormLaw(1000, 64, fr.ReLU(), fr.critical_variance(1, 64, fr.ReLU())).cdf(x)


def shapes():
    """Layers of four widths, 250 of each."""
    widths = [16, 32, 64, 128] * 250
    fr.LogNormLaw(1000, widths, fr.ReLU(), [2 / n for n in widths]).cdf(np.linspace(-40, 20, 1000))


def blocks():
    """The law of the log-norm over 100 residual blocks."""
    block = fr.ResidualBlock(WIDTH, WIDTH, fr.ReLU(), 0.1, (2 / WIDTH, 1 / WIDTH))
    block.log_norm_law(DEPTH).cdf(np.linspace(-1, 3, 1000))


def grid():
    widths = np.unique(np.geomspace(2, 4096, 112).astype(int))[:100]
    fr.critical_variance(np.linspace(0.1, 2, 20)[:, None], widths, fr.LeakyReLU(0.1))


def fresh(code, repeats=5):
    """Least wall-clock and processor time of fresh interpreters that run `code`."""
    times = []
    for _ in range(repeats):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return tuple(map(min, zip(*times, strict=True)))


def processor_time(call, repeats=5):
    """The least processor time of a few calls; other work on the machine does not add to it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def main():
    simulate(WIDTH, 100), simulate(4096, 100)  # builds the tables
    narrow, wide = best(lambda: simulate(WIDTH)) / 10_000, best(lambda: simulate(4096)) / 10_000
    numpy_time, torch_time = best(lambda: full_numpy(20)) / 20, best(lambda: full_torch(20)) / 20
    print(f"one network, width {WIDTH}, depth {DEPTH}: reduction {1e6 * narrow:.1f} µs")
    print(f"  full weights, numpy: {1e6 * numpy_time:.0f} µs, {numpy_time / narrow:.0f} times slower")
    print(f"  full weights, torch: {1e6 * torch_time:.0f} µs, {torch_time / narrow:.0f} times slower")
    print(f"  reduction at width 4096 against width {WIDTH}: {wide / narrow:.2f} times")
    print(f"critical_variance, 20 orders x 100 widths, leaky: {1e3 * best(grid):.0f} ms")
    own, opponent = processor_time(lambda: chain(2000, 50), 3), processor_time(lambda: full_pairs(100, 50), 3)
    print(f"GramChain.sample, 1e5 chains x 50 layers x 2 inputs x width {WIDTH}: {50 * own:.1f} s", end="")
    print(f" of processor time, {50 * own / 20:.2f} of the 20 s allowed", end="")
    print(f"; full weights, numpy: {20 * opponent / own:.0f} times slower")
    wall, own = best(law), processor_time(law)
    print(f"LogNormLaw(1000, 64, ReLU), construction and 1000 CDF values: {1e3 * wall:.0f} ms", end="")
    print(f", {1e3 * own:.0f} ms of processor time, {own / 0.05:.2f} of the 50 ms allowed")
    print(
        f"  the same over 1000 layers of four widths: {1e3 * processor_time(shapes):.0f} ms of processor time"
    )
    print(f"  over {DEPTH} residual blocks: {1e3 * processor_time(blocks, 3):.0f} ms of processor time")
    (wall, whole), (_, needed) = map(fresh, ("import fracrepro", "import numpy, scipy.special"))
    print(f"import fracrepro: {wall:.2f} s, {wall / 0.5:.2f} of the 0.5 s allowed", end="")
    print(f"; {whole:.2f} s of processor time, {whole / needed:.2f} times import numpy, scipy.special")


if __name__ == "__main__":
    main()
