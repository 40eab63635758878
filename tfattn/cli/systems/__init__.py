"""The systems of the command `tfattn`, by their names."""

from tfattn.cli.systems.base import System
from tfattn.cli.systems.classifier import ClassifierSystem
from tfattn.cli.systems.completion import CompletionSystem
from tfattn.cli.systems.flow import FlowSystem
from tfattn.cli.systems.gan import GANSystem
from tfattn.cli.systems.transformer import TransformerSystem
from tfattn.cli.systems.vae import VAESystem

SYSTEMS: dict[str, System] = {
    "vae": VAESystem(),
    "gan": GANSystem(),
    "flow": FlowSystem(),
    "transformer": TransformerSystem(),
    "completion": CompletionSystem(),
    "classifier": ClassifierSystem(),
}
