"""The package as a whole: the order of its imports, what importing it brings in, and how it is started."""

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import scratchnet

PACKAGE = Path(scratchnet.__file__).parent

# The layout of the design: a file imports only from lines above its own.
LAYOUT = """
common.version common.lazy
errors
common.caches common.notes common.console common.spelling common.tables
common
backend.native backend.cublas backend.layout_hints backend.arrays
backend.memory backend.blas
backend.device
backend.expect
backend.threads backend.cuda backend.forks
backend.products
backend
files.reading files.zips files.claims files.quantise
files.npz files.locks
files.atomic
files
gradcheck.drawing gradcheck.faults gradcheck.hints gradcheck.where gradcheck.wording
gradcheck.strategies gradcheck.report gradcheck.point
gradcheck.adapters gradcheck.attributes gradcheck.lifted gradcheck.numeric gradcheck.structures
gradcheck.nudges gradcheck.watch
gradcheck.contract gradcheck.coverage gradcheck.differences gradcheck.lifted_functions gradcheck.precision
gradcheck.sides gradcheck.source_files gradcheck.taylor_rates
gradcheck.agreement gradcheck.algebra gradcheck.held gradcheck.step_sweep
gradcheck.resolve
gradcheck.diagnose
gradcheck.check
gradcheck
ops.accelerated ops.windows
ops.conv ops.dense ops.finite ops.pixels ops.pool
ops.norm ops.update
ops.inference ops.norm_relu
ops.fast.dft ops.fast.pixels ops.fast.small ops.fast.update ops.fast.winograd
ops.fast.norm ops.fast.pool ops.fast.spectra
ops.fast.conv_im2col ops.fast.conv_bands ops.fast.conv_dft ops.fast.conv_winograd ops.fast.norm_relu
ops.fast.conv_cost
ops.fast.inference
ops.fast
ops.cuda
ops.cuda.conv_one_channel ops.cuda.dft ops.cuda.im2col ops.cuda.norm ops.cuda.pool ops.cuda.stroke ops.cuda.update
ops.cuda.warp
ops.cuda.conv_cost ops.cuda.conv_dft ops.cuda.conv_im2col
ops.choose
ops
layers.protocol
layers.activations layers.batchnorm2d layers.conv2d layers.flatten layers.linear layers.maxpool2d layers.weighted_l1
layers.trace
layers.sequential layers.siamese
layers.conv_pool_relu layers.norm_relu
layers.fuse
layers
losses
optim.schedules
optim.sgd optim.averaging
optim.penalty
optim
images.blocks images.strokes
images.channels images.lines images.ink images.resize images.warp
images.pictures images.ruling images.framing images.align
images.contrast images.augment
images.photo
images.frames
images
photo
models.inference models.pair_trace models.reading models.scoring
models.siamese
models.networks
models
parallel.comm parallel.cost
parallel.mpi parallel.nccl parallel.batchnorm parallel.buckets
parallel.job parallel.network
parallel
data.alphabets data.archive data.fetch data.locate
data.uneven data.folders
data.glyphs data.omniglot data.mnist data.drawings data.pairs data.episodes
data.splits data.download
data.own
data
oneshot.trials
oneshot.scorers oneshot.baselines oneshot.comparison oneshot.verification oneshot.rejection
oneshot.tasks
oneshot
pretrained.card
pretrained
checkpoint
planted.cases
planted.parts
planted.bug
planted.maps planted.vectors planted.siamese planted.stranger_layers
planted.stranger_losses
planted.stranger_maps planted.stranger_scores planted.stranger_sequences
planted.contract
planted.trials
planted
train.gradients train.norms
train.diagnosis train.memory_plan train.step
train.ranks train.synchronous
train.recipe train.signals train.folder train.environment
train.recipes train.settings train.batches train.progress
train.state
train.stepper train.watch
train.loop
train.tuning
train
explain.plots.page
explain.plots.curves explain.plots.filters explain.plots.embedding explain.plots.confusions explain.plots.warps
explain.plots.gradients explain.plots.subjects explain.plots.alignment
explain.plots.atlas
explain.plots.pictures
explain.plots
explain.stages explain.proofs explain.examples
explain.numbers explain.one_step explain.initialisation
explain.bugs
explain.page
explain
exchange.channels_first exchange.pytorch_file exchange.safetensors_file
exchange.state_dict
exchange.onnx_graph exchange.pytorch_code
exchange.formats
exchange.index.sources exchange.index.store
exchange.index.neighbours
exchange.index.build
exchange.index.search
exchange.index
exchange
bench.timing bench.workload bench.child
bench.machine bench.profile bench.peers
bench.torch_peer bench.jax_peer bench.dezero_peer
bench.memory
bench.measure bench.report
bench.embedding bench.photos
bench.apart
bench
paper.scales paper.choices paper.ladder
paper.method
paper.cells paper.judge
paper.record paper.search
paper.table paper.initialisation paper.report
paper.reproduce paper.tune
paper
__init__
pytest_plugin
cli.options
cli.gradcheck_file
cli.evaluation cli.exchange cli.explain cli.recognition cli.gradcheck cli.bench cli.index cli.info cli.paper cli.plot
cli.training
cli
__main__
"""
LINE_OF = {f"scratchnet.{name}": line for line, names in enumerate(LAYOUT.split("\n")) for name in names.split()}
OPTIONAL = {
    "cupy", "optuna", "matplotlib", "torch", "jax", "dezero", "scipy", "pytest", "hypothesis", "safetensors", "onnx",
    "faiss", "mpi4py",
}  # fmt: skip


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        found[".".join(("scratchnet", *parts))] = path
    return {name: path for name, path in found.items() if path.read_text().strip()}


def imports(path: Path) -> set[str]:
    """The modules of scratchnet that a file imports; `from scratchnet import models` imports scratchnet.models."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names if alias.name.startswith("scratchnet")}
            found |= {"scratchnet.__init__" if name == "scratchnet" else name for name in names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("scratchnet"):
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & LINE_OF.keys()
            found |= inside or {node.module}
    return found


def test_the_layout_lists_every_module():
    assert modules().keys() == LINE_OF.keys()


@pytest.mark.parametrize("name", sorted(LINE_OF))
def test_a_module_imports_only_from_lines_above_it(name):
    above = {other for other, line in LINE_OF.items() if line < LINE_OF[name]}
    assert imports(modules()[name]) <= above


def loaded_by(code: str) -> set[str]:
    """The libraries that a new interpreter has loaded after running `code`."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_public_names_import_no_optional_library():
    loaded = loaded_by("from scratchnet import *")
    assert "numpy" in loaded
    assert not OPTIONAL & loaded


@pytest.mark.parametrize("module", ["scratchnet", "scratchnet.pytest_plugin"])
def test_what_every_run_of_pytest_imports_loads_no_library(module):
    assert not {"numpy", "PIL", "tqdm"} & loaded_by(f"import pytest, {module}")


def test_a_name_that_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'scratchnet' has no attribute 'gradchek'"):
        _ = scratchnet.gradchek
    assert set(scratchnet.__all__) <= set(dir(scratchnet))


def test_the_version_is_that_of_the_installed_package():
    assert scratchnet.__version__ == metadata.version("scratchnet-oneshot")


def test_the_package_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "scratchnet", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == f"scratchnet {scratchnet.__version__}"


def test_every_public_name_exists():
    assert all(hasattr(scratchnet, name) for name in scratchnet.__all__)
