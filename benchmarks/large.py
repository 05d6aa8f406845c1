"""Our initializers beside torch's own on tensors of 10^8 entries: writes `recorded/large.json`.

    OMP_NUM_THREADS=1 python benchmarks/large.py           # on an idle machine, about two minutes
    OMP_NUM_THREADS=1 python benchmarks/large.py --trial   # 10^5 entries, to see that it runs

Each call of ours and torch's counterpart take turns on one thread; a ratio is that of the processor times of
two neighbouring calls.  The record has the median, the least and the largest of all rounds, and what each
call needs of memory beside the tensor.
"""

import gc
import re
import statistics
import time
import warnings
from pathlib import Path

import recording
import torch
from torch import nn
from torch.nn.utils import skip_init

from fracrepro.nn import init, initialize_

FULL = {"entries": 10**8, "rounds": 5}
TRIAL = {"entries": 10**5, "rounds": 2}
LAYERS = 4


def theirs(model):
    """What a program without us does to every linear layer."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


def empty_model(width, dtype):
    """A fully connected model without values."""
    with torch.device("meta"):
        layers = [nn.Linear(width, width, dtype=dtype) for _ in range(LAYERS)]
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())]).to_empty(device="cpu")


def new_layer(fill, width, dtype):
    """A layer made without values, and filled once."""
    return lambda: fill(skip_init(nn.Linear, width, width, dtype=dtype))


def cases(entries, dtype):
    """Name of ours, ours, name of theirs, theirs: functions without arguments on the same tensors."""
    side = round(entries**0.5)
    weight = torch.zeros(side, side, dtype=dtype)
    model = empty_model(round((entries / LAYERS) ** 0.5), dtype)
    theirs(model)  # touches the memory
    wrapped = torch.compile(model)
    ours, kaiming = torch.compile(init.fractional_normal_), torch.compile(nn.init.kaiming_normal_)
    normal = "Tensor.normal_"
    yield "init.normal_", lambda: init.normal_(weight, 0.1), normal, lambda: weight.normal_(0, 0.1)
    yield "init.looks_linear_", lambda: init.looks_linear_(weight), normal, lambda: weight.normal_(0, 0.1)
    for name in ("fractional_normal_", "random_walk_normal_"):
        fill = getattr(init, name)
        yield (
            f"init.{name}",
            lambda fill=fill: fill(weight),
            "kaiming_normal_",
            lambda: nn.init.kaiming_normal_(weight),
        )
    yield (
        "torch.compile(init.fractional_normal_)",
        lambda: ours(weight),
        "torch.compile(kaiming_normal_)",
        lambda: kaiming(weight),
    )
    each = "kaiming_normal_, zeros_"
    yield "initialize_(model)", lambda: initialize_(model), each, lambda: theirs(model)
    yield "initialize_(torch.compile(model))", lambda: initialize_(wrapped), each, lambda: theirs(wrapped)
    yield (
        "skip_init, initialize_",
        new_layer(initialize_, side, dtype),
        "skip_init, kaiming_normal_",
        new_layer(theirs, side, dtype),
    )


def seconds(call):
    clock = time.process_time()
    call()
    return time.process_time() - clock


def extra_bytes(call):
    """What a call needs at its peak beside what this process has; Linux alone lets the peak begin anew."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(field):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def main():
    options = recording.options(__doc__)
    settings = TRIAL if options.trial else FULL
    warnings.simplefilter("ignore")  # the order of modules in a compiled model is a guess, and is right here
    torch.manual_seed(recording.SEED)
    torch.set_num_threads(1)
    rows = []
    with recording.record("large", options) as found:
        for dtype in (torch.float32, torch.bfloat16):
            for call, ours, beside, torchs in cases(settings["entries"], dtype):
                ours(), torchs()  # compiles, and fills caches
                pairs = [(seconds(ours), seconds(torchs)) for _ in range(settings["rounds"])]
                ratios = [mine / other for mine, other in pairs]
                row = {"call": call, "beside": beside, "dtype": str(dtype).removeprefix("torch.")}
                row |= {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
                row |= {"seconds": statistics.median(mine for mine, _ in pairs)}
                row |= {"torch_seconds": statistics.median(other for _, other in pairs)}
                row |= {"extra_bytes": extra_bytes(ours), "torch_extra_bytes": extra_bytes(torchs)}
                rows.append(row)
                print({key: value for key, value in row.items() if key != "beside"}, flush=True)
        found |= settings | {"rows": rows}


if __name__ == "__main__":
    main()
