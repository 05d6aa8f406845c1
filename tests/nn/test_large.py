"""Large models: no copies of a tensor, no values that are replaced at once, nothing drawn part by part."""

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import skip_init

from fracrepro.nn import init, initialize_

STATUS = Path("/proc/self/status")
RANK = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import init_device_mesh
from fracrepro.errors import ArgumentError
from fracrepro.nn import init, initialize_

rank = int(sys.argv[1])
dist.init_process_group("gloo", store=dist.FileStore(sys.argv[2], 2), rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
seeded = lambda: torch.Generator().manual_seed(0)
build = lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
whole = build()
initialize_(whole, generator=seeded())
before = whole[0].weight.detach().clone()
fully_shard(whole, mesh=mesh)
assert torch.equal(whole[0].weight.full_tensor(), before)
assert whole[0].weight.to_local().shape == (8, 8)
with torch.device("meta"):
    parts = build()
fully_shard(parts, mesh=mesh)
parts.to_empty(device="cpu")
alone = lambda: init.fractional_normal_(parts[0].weight)
for call in (lambda: initialize_(parts, generator=seeded()), alone):
    try:
        call()
    except ArgumentError as error:
        assert "several processes share" in str(error)
    else:
        raise AssertionError("not refused")
for seeds, same in (((0, 0), True), ((0, 1), False)):  # torch's own: a seed counts, the generator does not
    torch.manual_seed(seeds[rank])
    nn.init.kaiming_normal_(parts[0].weight, generator=seeded())
    drawn = parts[0].weight.full_tensor()
    assert torch.equal(drawn[:8], drawn[8:]) is same, f"{seeds}: is the refusal needed any more?"
dist.destroy_process_group()
print("as the book says")
"""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def build():
    return nn.Sequential(nn.Linear(50, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


def test_what_is_materialized_late_has_the_bits_of_a_model_that_had_memory():
    usual = build()
    initialize_(usual, generator=seeded())
    with torch.device("meta"):
        late = build()
    late.to_empty(device="cpu")
    late[1].reset_parameters()
    initialize_(late, generator=seeded())
    assert all(torch.equal(value, late.state_dict()[name]) for name, value in usual.state_dict().items())


def test_a_layer_without_values_of_its_own_draws_only_once():
    torch.manual_seed(0)
    layer = skip_init(nn.Linear, 64, 64)
    initialize_(layer)
    torch.manual_seed(0)
    usual = torch.empty(64, 64)
    init.fractional_normal_(usual, nonlinearity="linear")
    assert torch.equal(layer.weight, usual)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no processes")
def test_two_processes_shard_what_each_has_drawn_whole(tmp_path):
    command = [sys.executable, "-c", RANK]
    running = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stdout=-1, stderr=-1, text=True)
        for rank in range(2)
    ]
    for process in running:
        said, trouble = process.communicate(timeout=300)
        assert said == "as the book says\n", trouble


def peak(call):
    """What a call needs at its peak beside what this process has, in bytes."""
    ctypes.CDLL(None).malloc_trim(0)  # a test before this one may have had the process keep what it frees
    Path("/proc/self/clear_refs").write_text("5")

    def kilobytes(field):
        return int(re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())[1])

    before = kilobytes("VmRSS")
    call()
    return 1024 * (kilobytes("VmHWM") - before)


@pytest.mark.skipif(not STATUS.is_file(), reason="only Linux lets the peak of the memory begin anew")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_of_a_tensor_is_copied(dtype):
    layer = skip_init(nn.Linear, 4000, 4000, dtype=dtype)
    weight, size = layer.weight.data.zero_(), layer.weight.numel() * layer.weight.itemsize
    initialize_(layer)  # fills caches
    for call in (
        lambda: init.fractional_normal_(weight),
        lambda: init.random_walk_normal_(weight),
        lambda: initialize_(layer),
    ):
        assert peak(call) < size / 8
    # One draw of a quarter, and no copy of the whole; then the control, which makes a copy and shows it.
    assert peak(lambda: init.looks_linear_(weight)) < size / 2
    assert peak(lambda: weight.copy_(weight * 2)) > size / 2
