#!/usr/bin/env python3
"""Writes tests/kernels/optimizer_fixture.h: what PyTorch's RMSprop and AdamW do to a few parameters.

    python3 tests/kernels/make_optimizer_fixture.py > tests/kernels/optimizer_fixture.h

The committed file was written with PyTorch 1.13 (Debian's python3-torch).
"""
import torch

COUNT, DECAYED, STEPS = 19, 11, 5
RUNS = {  # kind, learning rate, weight decay, largest gradient norm (0: no clipping)
    "rmsprop": ("rmsprop", 1e-2, 0.0, 0.0),
    "rmsprop_decay_clip": ("rmsprop", 1e-2, 0.1, 3.0),
    "adamw": ("adamw", 1e-2, 0.0, 0.0),
    "adamw_decay_clip": ("adamw", 1e-2, 0.1, 3.0),
}

torch.manual_seed(1)
torch.set_num_threads(1)
start = torch.randn(COUNT)
# The norms are about 1.5, 6.6, 1.5, 14.9 and 0.05: clipping acts in steps 2 and 4 only. Parameter 3 never has a gradient.
gradients = torch.randn(STEPS, COUNT) * torch.tensor([0.3, 1.2, 0.4, 3.0, 0.01])[:, None]
gradients[:, 3] = 0


def numbers(tensor):
    return "{" + ", ".join(f"{x:.9g}" for x in tensor.flatten().tolist()) + "}"


def run(kind, rate, decay, clip):
    decayed = torch.nn.Parameter(start[:DECAYED].clone())
    others = torch.nn.Parameter(start[DECAYED:].clone())
    groups = [{"params": [decayed], "weight_decay": decay}, {"params": [others], "weight_decay": 0.0}]
    if kind == "rmsprop":
        optimizer = torch.optim.RMSprop(groups, lr=rate, alpha=0.99, eps=1e-8)
    else:
        optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.999), eps=1e-8)
    both = [decayed, others]
    history = []
    for step in range(STEPS):
        decayed.grad = gradients[step, :DECAYED].clone()
        others.grad = gradients[step, DECAYED:].clone()
        if clip:
            torch.nn.utils.clip_grad_norm_(both, clip)
        optimizer.step()
        history.append(torch.cat([p.detach() for p in both]).clone())
    state = lambda key: torch.cat([optimizer.state[p][key] for p in both])
    first = torch.zeros(COUNT) if kind == "rmsprop" else state("exp_avg")
    second = state("square_avg") if kind == "rmsprop" else state("exp_avg_sq")
    return torch.stack(history), first, second


print(f"""// Written by tests/kernels/make_optimizer_fixture.py with PyTorch {torch.__version__}; do not edit.
// clang-format off
#pragma once

#include <vector>

#include "kernels/optimizer/optimizer.h"

namespace sandglass::test {{

struct OptimizerFixture {{
  const char* name_of_run;
  OptimizerKind kind;
  float rate, decay, clip;
  std::vector<double> parameters;                   ///< [steps][count], after each step
  std::vector<double> first_moment, second_moment;  ///< [count], after the last step
  const char* name() const {{ return name_of_run; }}
}};

inline constexpr int kFixtureCount = {COUNT}, kFixtureDecayed = {DECAYED}, kFixtureSteps = {STEPS};
inline const std::vector<double> kFixtureStart = {numbers(start)};
inline const std::vector<double> kFixtureGradients = {numbers(gradients)};
inline const std::vector<OptimizerFixture> kOptimizerFixtures = {{""")
for name, (kind, rate, decay, clip) in RUNS.items():
    history, first, second = run(kind, rate, decay, clip)
    print(f"""    {{"{name}", OptimizerKind::{kind}, {rate}f, {decay}f, {clip}f,
     {numbers(history)},
     {numbers(first)},
     {numbers(second)}}},""")
print("};\n\n}  // namespace sandglass::test")
