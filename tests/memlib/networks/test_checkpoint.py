"""Checkpoints come back as they were saved, or not at all."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from companion.fitting import Classifier, ClassifierConfig
from memlib.files import sha256
from memlib.networks import (
    MLP,
    CheckpointError,
    MLPConfig,
    UNet,
    UNetConfig,
    load_checkpoint,
    save_checkpoint,
)
from memlib.networks.checkpoint import build, load_network, save_network, schedule_named

CARD = {"name": "test", "schedule": {"name": "linear", "steps": 20}, "prediction": "epsilon"}
NETWORKS = {
    "mlp": lambda: MLP(MLPConfig(width=8, blocks=1)),
    "unet": lambda: UNet(UNetConfig(image_size=8, channels=(8, 16), blocks=1)),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]()


@pytest.fixture
def saved(tmp_path):
    save_checkpoint(tmp_path / "one", NETWORKS["mlp"](), CARD)
    return tmp_path / "one"


def edit_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text()) | changes
    (folder / "card.json").write_text(json.dumps(card))


def test_round_trip(network, tmp_path):
    card = save_checkpoint(tmp_path / "a" / "b", network, CARD)
    found = load_checkpoint(tmp_path / "a" / "b")
    weights = found.model.network.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in network.state_dict().items())
    assert json.loads(json.dumps(card)) == found.card
    assert found.card["parameters"] == sum(p.numel() for p in network.parameters())
    assert found.card["sha256"] == sha256(tmp_path / "a" / "b" / "model.safetensors")
    assert found.model.network.config == network.config
    assert found.model.sample_shape == network.config.sample_shape
    assert (found.model.schedule.steps, found.model.prediction) == (20, "epsilon")
    assert not found.model.network.training
    assert not any(p.requires_grad for p in found.model.network.parameters())
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["card.json", "model.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_files_load_as_the_rounded_weights(network, tmp_path, dtype):
    for parameter in network.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(1))
    save_checkpoint(tmp_path / "half", network, CARD, dtype)
    save_checkpoint(tmp_path / "whole", network, CARD)
    assert {v.dtype for v in load_file(tmp_path / "half" / "model.safetensors").values()} == {dtype}
    found = load_checkpoint(tmp_path / "half").model.network.state_dict()
    for key, weight in network.state_dict().items():
        assert found[key].dtype == torch.float32
        assert torch.equal(found[key], weight.to(dtype).float())
    assert any(not torch.equal(found[key], weight) for key, weight in network.state_dict().items())
    # What is no weight stays exact: the frequencies of the time embedding are not in the file.
    network.load_state_dict(found)
    x = torch.zeros(2, *network.config.sample_shape)
    assert torch.equal(load_checkpoint(tmp_path / "half").model.network(x, 7), network.eval()(x, 7))


def test_networks_that_are_no_diffusion_models(tmp_path):
    network = Classifier(ClassifierConfig(channels=(8, 8)))
    card = save_network(tmp_path, network, {"name": "test"}, torch.float16)
    found, stored = load_network(tmp_path)
    assert isinstance(found, Classifier)
    assert found.config == network.config
    assert stored == json.loads(json.dumps(card))
    assert set(stored) == {"name", "network", "parameters", "sha256"}
    assert not found.training
    assert not any(p.requires_grad for p in found.parameters())
    with pytest.raises(CheckpointError, match="needs 'prediction' and 'schedule'"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="needs 'prediction' and 'schedule'"):
        save_checkpoint(tmp_path / "new", network, {"name": "test"})
    assert not (tmp_path / "new").exists()


def test_the_same_checkpoint_is_the_same_bytes(network, tmp_path):
    for name in "ab":
        save_checkpoint(tmp_path / name, network, CARD)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()
    assert (tmp_path / "a" / "card.json").read_bytes() == (tmp_path / "b" / "card.json").read_bytes()


def test_global_random_state_is_left_alone(network, tmp_path):
    state = torch.get_rng_state()
    save_checkpoint(tmp_path, network, CARD)
    load_checkpoint(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("position", [0, 300, -1])
def test_a_changed_byte_is_found(saved, position):
    raw = bytearray((saved / "model.safetensors").read_bytes())
    raw[position] ^= 1
    (saved / "model.safetensors").write_bytes(raw)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors has sha256 \w{64}, its card says \w{64}; restore"
    ):
        load_checkpoint(saved)


def test_a_truncated_file_is_found(saved):
    raw = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(raw[:-10])
    with pytest.raises(CheckpointError, match="its card says"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} is missing; restore both files with git, or train"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"prediction": "v"},
        {"schedule": {"name": "cosine", "steps": 20}},
        {"schedule": {"name": "linear", "steps": 21}},
        {"network": {"class": "MLP", "config": {"dim": 2, "width": 9, "blocks": 1}}},
        {"network": {"class": "UNet", "config": {}}},
        {"network": None},
    ],
)
def test_a_changed_card_is_found(saved, change):
    """None of these need alter a shape: a schedule of another name would load, and lie."""
    edit_card(saved, **change)
    with pytest.raises(
        CheckpointError, match=r"card\.json says .*, but its weights were saved with .*restore"
    ):
        load_checkpoint(saved)


def test_other_entries_of_the_card_may_be_edited(saved):
    edit_card(saved, about="a better sentence")
    assert load_checkpoint(saved).card["about"] == "a better sentence"


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3"])
def test_a_card_that_is_no_object_is_named(saved, text):
    (saved / "card.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"card\.json is not a JSON object"):
        load_checkpoint(saved)


def test_weights_that_do_not_fit_their_own_card(saved):
    """Consistent hashes and header, and one tensor fewer."""
    weights = load_file(saved / "model.safetensors")
    weights.pop("leave.bias")
    card = json.loads((saved / "card.json").read_text())
    binding = json.dumps({k: card[k] for k in ("network", "schedule", "prediction")}, sort_keys=True)
    save_file(weights, saved / "model.safetensors", metadata={"card": binding})
    edit_card(saved, sha256=sha256(saved / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"(?s)do not fit the configuration .*leave\.bias"):
        load_checkpoint(saved)


def test_weights_of_unknown_configuration_are_refused(saved):
    save_file(load_file(saved / "model.safetensors"), saved / "model.safetensors")
    edit_card(saved, sha256=sha256(saved / "model.safetensors"))
    with pytest.raises(CheckpointError, match="were saved with None"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"prediction": "epsilon"}, "needs 'prediction' and 'schedule'"),
        ({"schedule": CARD["schedule"]}, "needs 'prediction' and 'schedule'"),
        (CARD | {"schedule": {"name": "spiral", "steps": 3}}, "unknown schedule 'spiral'.*linear"),
        (CARD | {"prediction": "noise"}, "prediction must be one of"),
        (CARD | {"when": object()}, "cannot be written as JSON"),
        (CARD | {"loss": float("nan")}, "cannot be written as JSON"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_nothing_is_written_for_a_bad_card(saved, tmp_path, card, message, before):
    folder = saved if before else tmp_path / "new"
    content = {p.name: p.read_bytes() for p in folder.iterdir()} if before else None
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(folder, NETWORKS["mlp"](), card)
    if before:
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == content
    else:
        assert not folder.exists()


def test_a_write_that_breaks_off_keeps_the_old_checkpoint(saved, monkeypatch):
    def broken(weights, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("memlib.networks.checkpoint.save_file", broken)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, NETWORKS["mlp"](), CARD)
    load_checkpoint(saved)


def test_networks_from_bad_descriptions():
    for network in ({}, {"class": "GAN", "config": {}}, {"class": "MLP", "config": {"depth": 3}}, None,
                    {"class": "UNet", "config": {"image_size": 7}}):  # fmt: skip
        with pytest.raises(CheckpointError, match=r"cannot build a network .*\['MLP', 'UNet'"):
            build(network)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_schedules_by_name(name):
    assert schedule_named(name, 7).steps == 7
