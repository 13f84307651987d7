"""docs/exchange.md: what it tells people to type works, and its framing in JavaScript is ours."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scratchnet.cli import main
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import install_extra
from scratchnet.images.framing import frame_ink

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
OWN = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def test_its_commands_and_its_python_run_from_top_to_bottom(default_device, capsys, monkeypatch, tmp_path):
    for name in ("onnx", "safetensors"):
        pytest.importorskip(name, reason=f"needs the extra exchange; {install_extra('exchange')}")
    pytest.importorskip("faiss", reason=f"needs the extra index; {install_extra('index')}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    exec(re.search(r"```python\n(.*?)```", OWN, flags=re.DOTALL)[1], {})  # makes the folders
    variables = {}
    for block, command in re.findall(r"```python\n([\s\S]*?)```|^    scratchnet (.*)$", PAGE, flags=re.MULTILINE):
        capsys.readouterr()
        if block:
            exec(block, variables)
        else:
            assert main(command.partition(" > ")[0].split()) == 0, command
    assert variables["images"].shape == (1, 48, 48)
    assert variables["rows"].shape == (1, 3)


def test_the_framing_of_the_page_is_ours(tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        pytest.skip("needs chromium")
    (code,) = re.findall(r"```js\n(.*?)```", PAGE, flags=re.DOTALL)
    (alphabet,) = generate_alphabets(1, characters=4, drawers=1, image_size=60, seed=5)
    whole = alphabet.images[:, 0].astype(np.float64)
    images = [whole[0], whole[1, :, 8:50], np.pad(whole[2], ((0, 90), (30, 0))), whole[3] * 0.6]
    given = [[image.ravel().tolist(), *image.shape] for image in images]
    script = f"{code.replace('export ', '')}\nconst given = {json.dumps(given)};"
    script += "document.title = JSON.stringify(given.map(([ink, H, W]) => [...frame(ink, H, W, 48)]));"
    (tmp_path / "page.html").write_text(f"<title></title><script>{script}</script>", encoding="utf-8")
    quiet = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [browser, *quiet, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", str(tmp_path / "page.html")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    framed = json.loads(re.search(r"<title>(.*?)</title>", shown)[1])
    for found, image in zip(framed, images, strict=True):
        np.testing.assert_allclose(np.reshape(found, (48, 48)), frame_ink(image[None], 48)[0], atol=1e-6)
