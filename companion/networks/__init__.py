"""Small diffusion networks and their checkpoints."""

from companion.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from companion.networks.mlp import MLP, MLPConfig
from companion.networks.model import DiffusionModel
from companion.networks.unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "Checkpoint",
    "CheckpointError",
    "DiffusionModel",
    "MLPConfig",
    "UNet",
    "UNetConfig",
    "load_checkpoint",
    "save_checkpoint",
]
