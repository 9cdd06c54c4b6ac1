"""Grids and codes of positions."""

import math

import torch

from slotaudio.bottlenecks.grid_code import GridCode
from slotaudio.positions import gaussian_code, grid, octave_code


def test_grid_runs_from_minus_one_to_one_with_frequency_slowest():
    expected = [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]
    assert grid(2, 3).tolist() == expected


def test_an_axis_of_one_cell_lies_in_the_middle():
    assert grid(1, 1).tolist() == [[0, 0]]
    assert grid(3, 1)[:, 1].tolist() == [0, 0, 0]


def test_octaves_double_from_one_wave_per_axis():
    positions = torch.tensor([[0.25, -0.5]])
    angles = torch.tensor([0.25, 0.5, 1.0, -0.5]) * math.pi
    torch.testing.assert_close(octave_code(positions, (3, 1)), torch.cat([angles.sin(), angles.cos()])[None])


def test_default_octaves_tell_all_cells_of_the_papers_grid_apart():
    code = octave_code(grid(256, 64), (8, 6))
    assert len(code.unique(dim=0)) == 256 * 64


def test_gaussian_code_measures_along_its_directions():
    positions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    projection = torch.tensor([[0.5, 2.0], [0.25, 0.0]])
    angles = math.pi * torch.tensor([[0.5, 2.0], [0.25, 0.0]])
    torch.testing.assert_close(gaussian_code(positions, projection), torch.cat([angles.sin(), angles.cos()], dim=1))


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_lone_axis_is_time():
    code, time = GridCode(8), noise(5, 1)
    torch.testing.assert_close(code(time), code(torch.cat([torch.zeros(5, 1), time], dim=1)))
