"""Where a chain is trained; no GPU is needed to see what is said without one."""

from __future__ import annotations

import pytest

from ebnn.cli import main
from ebnn.errors import ConfigError
from ebnn.train import chainer, device, model


def test_cpu_is_the_default(monkeypatch):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    chain = model.build("4c3-10", (5, 5, 1))
    device.place(chain)
    assert chain.device == chainer.get_device("@numpy")


@pytest.mark.parametrize("name", ["@cupy:0", "cuda", "@nowhere"])
def test_missing_device_is_told(name, monkeypatch):
    if name == "@cupy:0" and chainer.backends.cuda.available:
        pytest.skip("there is a GPU")
    monkeypatch.setenv(device.VARIABLE, name)
    with pytest.raises(ConfigError, match=f"EBNN_DEVICE={name}: .*CuPy"):
        device.place(model.build("4c3-10", (5, 5, 1)))


def test_option_names_the_first_gpu(tmp_path, monkeypatch, capsys):
    if chainer.backends.cuda.available:
        pytest.skip("there is a GPU")
    monkeypatch.setenv(device.VARIABLE, "")
    monkeypatch.delenv(device.VARIABLE)
    assert main(["train", "--dataset", "digits", "--gpu", "--epochs", "1", "--out", str(tmp_path / "run")]) == 1
    assert "EBNN_DEVICE=@cupy:0" in capsys.readouterr().err


def test_gpu_and_processes_exclude_each_other(monkeypatch, capsys):
    monkeypatch.setenv(device.VARIABLE, "")
    assert main(["train", "--gpu", "--distributed"]) == 1
    assert "leave --gpu out" in capsys.readouterr().err


def test_batches_go_where_the_chain_lies(tmp_path, monkeypatch):
    """The loop asks the chain's own device for every batch: here a CPU that counts."""
    from ebnn.train import data, loop
    from ebnn.train.config import Config

    class Counting(type(chainer.get_device("@numpy"))):
        sent = 0

        def send(self, arrays):
            Counting.sent += 1
            return super().send(arrays)

    digits = data.load("digits")
    monkeypatch.setattr(chainer.device_resident.DeviceResident, "device", property(lambda self: Counting()))
    loop.train(digits, Config(arch="8c3-p2-10", epochs=1, batch=32), None, lambda line: None)
    assert Counting.sent > 2 * (len(digits.split()[0]) // 32)
