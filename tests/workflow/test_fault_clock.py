"""A clock that jumps back and forth.

Each fault comes by itself, with real processes: what is finished stays, exit code and message say what
happened, and the next call ends with the files of an unbroken run, bit for bit but for times.
`torture` strikes at random. What takes more than a few seconds is marked `long`, and `make torture` runs it.
"""

import os
import shutil
import subprocess
import sys

import pytest

from torture import kills

from .faulted import BY_NAME, ended, start

JUMPS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

/* Seconds to add to the time of day: it jumps back by a day after 1.5 s, and on by a year after 3 s. */
static long jump(void) {
    static int (*real)(clockid_t, struct timespec *);
    static long first = -1;
    struct timespec now;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_MONOTONIC, &now);
    long ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (first < 0) first = ms;
    return ms - first < 1500 ? 0 : ms - first < 3000 ? -86400 : 31536000;
}
int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) out->tv_sec += jump();
    return code;
}
int gettimeofday(struct timeval *out, void *zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int code = real(out, zone);
    out->tv_sec += jump();
    return code;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """A library before all others, which makes the time of day jump in every process."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "jumps.c").write_text(JUMPS)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "jumps.so", folder / "jumps.c", "-ldl"], check=True
    )
    line = (
        "import time; seen = [(time.sleep(0.05), time.time())[1] for _ in range(80)]; "
        "print(any(later < earlier for earlier, later in zip(seen, seen[1:])))"
    )
    environment = os.environ | {"LD_PRELOAD": str(folder / "jumps.so")}
    command = [sys.executable, "-c", line]
    seen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert seen.stdout == "True\n"  # the control: time does run backwards
    return str(folder / "jumps.so")


@pytest.mark.long
@pytest.mark.parametrize(
    "target",
    ["training, two workers", "notebooks, two workers", "sweep, points", "sweep, trainings", "build, book"],
)
def test_a_clock_that_jumps_changes_no_bit(case, references, jumping, target):
    target = BY_NAME[target]
    code, said = ended(start(target, case, LD_PRELOAD=jumping))
    assert code == 0, said
    assert kills.tree(case / target.results) == references.of(target)[0]
