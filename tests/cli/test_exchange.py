"""`export` and `import` as people type them."""

import numpy as np
import pytest
from helpers import same_bits

from scratchnet.checkpoint import load_model
from scratchnet.errors import install_extra

OPTIONS = ["compact", "image_size=16", "width=2", "features=8"]


def test_a_network_goes_to_pytorch_and_back(ask, finished, tmp_path):
    answer = ask("export", "run", "net.pt")
    assert answer.code == 0
    assert answer.out.startswith("net.pt: state dict of ")
    for names in (["run"], OPTIONS):
        answer = ask("import", "net.pt", "--out", "again.npz", "--architecture", *names)
        assert answer.out.startswith("again.npz: compact, image_size=16, width=2, features=8; try it: scratchnet comp")
        assert same_bits(load_model(tmp_path / "again.npz").params, load_model(finished).params)
    assert ask("import", "net.pt", "--architecture", "run", "--json").json["file"] == "net.npz"  # the default name


def test_the_code_goes_to_stdout_and_what_was_written_to_stderr(ask, finished):
    answer = ask("export", "run", "net.pt", "--code")
    assert answer.code == 0
    compile(answer.out, "net.py", "exec")
    assert answer.err.startswith("net.pt: state dict of ")


@pytest.mark.parametrize("score", [False, True])
def test_onnx_says_what_goes_in_and_what_comes_out(score, ask, finished):
    pytest.importorskip("onnx", reason=f"needs the extra exchange; {install_extra('exchange')}")
    answer = ask("export", "run", "net.onnx", *(["--score"] if score else []))
    sides = (
        "first and second (N, 8) to logit (N)" if score else "images (N, 16, 16), framed by 'page', to embedding (N, 8)"
    )
    assert answer.out.startswith(f"net.onnx: {sides}, ")


def test_safetensors_needs_no_architecture(ask, finished, tmp_path):
    pytest.importorskip("safetensors", reason=f"needs the extra exchange; {install_extra('exchange')}")
    assert ask("export", "run", "net.safetensors").code == 0
    assert ask("import", "net.safetensors").code == 0
    assert same_bits(load_model(tmp_path / "net.npz").params, load_model(finished).params)


def test_what_does_not_go_together_is_refused_in_one_line(refused, ask, finished):
    assert ask("export", "run", "net.pt").code == 0
    assert "suffix '.pth' (did you mean '.pt'?): expected .safetensors, .pt, .onnx" in refused(
        "export", "run", "net.pth"
    )
    assert "--score is for .onnx" in refused("export", "run", "net.pt", "--score")
    assert "--code is for .pt and .safetensors: net.onnx needs no code" in refused(
        "export", "run", "net.onnx", "--code"
    )
    assert "--code and --json both print" in refused("export", "run", "net.pt", "--code", "--json")
    assert "does not exist" in refused("export", "nowhere", "net.pt")
    assert "name a network of the same one, --architecture MODEL" in refused("import", "net.pt")
    assert "did you mean 'compact'?" in refused("import", "net.pt", "--architecture", "compat", "width=2")
    assert "expected OPTION=VALUE" in refused("import", "net.pt", "--architecture", "compact", "width")
    assert "it is of another architecture" in refused("import", "net.pt", "--architecture", "compact", "width=2")
    assert "a weights file ends in .npz" in refused("import", "net.pt", "--architecture", "run", "--out", "net.pt")
    assert "expected .safetensors, .pt, .pth" in refused("import", "net.onnx", "--architecture", "run")


def test_an_import_replaces_no_file_that_it_was_not_told_to(refused, ask, finished, tmp_path):
    assert ask("export", "run", "net.pt").code == 0
    np.savez(tmp_path / "net.npz", a=1)
    assert "net.npz exists: say with --out where to write" in refused("import", "net.pt", "--architecture", "run")
    assert ask("import", "net.pt", "--architecture", "run", "--out", "net.npz").code == 0
    load_model(tmp_path / "net.npz")
