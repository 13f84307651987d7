"""Hypothesis strategies for shapes and points: a failing test shrinks to the smallest shape that fails.

    from hypothesis import given
    from scratchnet.gradcheck import strategies

    @given(point=strategies.points(layer, strategies.shapes(2)))
    def test_layer(gradcheck, point):
        gradcheck(layer, *point)

Hypothesis is not installed with scratchnet.
"""

from typing import Any

from scratchnet.errors import ScratchnetError

try:
    from hypothesis import strategies as st
except ImportError as error:  # it is an extra of the user's own
    raise ScratchnetError("these strategies need hypothesis: pip install hypothesis") from error

from scratchnet.gradcheck.drawing import draw

SEEDS = st.integers(0, 2**32 - 1)


def shapes(
    axes: int | tuple[int, int] = (1, 4), *, least: int = 1, most: int = 6
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of so many axes, or of a number in a range, with sizes from `least` to `most`; shrinks to the smallest."""
    fewest, greatest = (axes, axes) if isinstance(axes, int) else axes
    sizes = st.lists(st.integers(least, most), min_size=fewest, max_size=greatest)
    return sizes.map(tuple)


def arrays(shape: Any, *, scale: float = 1.0) -> st.SearchStrategy[Any]:
    """Gaussian arrays of a shape, or of those that a strategy draws. Only shapes shrink: at 0 there are kinks."""
    shape = shape if isinstance(shape, st.SearchStrategy) else st.just(tuple(shape))
    return st.builds(lambda size, seed: scale * draw(None, size, seed=seed)[1][0], shape, SEEDS)


def points(layer: Any, *inputs: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    """Inputs of a layer, one for each shape or strategy of shapes: tuples of arrays for gradcheck(layer, *point)."""
    return st.tuples(*(arrays(shape) for shape in inputs))


def layers(make: Any, **arguments: Any) -> st.SearchStrategy[Any]:
    """Layers made by make(**arguments), where each argument is a strategy or a value."""
    chosen = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in arguments.items()
    }
    return st.builds(make, **chosen)
