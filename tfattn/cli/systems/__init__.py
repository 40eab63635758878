"""The systems of the command `tfattn`, by their names."""

from typing import Any

from tfattn._checks import check_choice
from tfattn.cli.systems.base import System
from tfattn.cli.systems.captioner import CaptionerSystem
from tfattn.cli.systems.classifier import ClassifierSystem
from tfattn.cli.systems.completion import CompletionSystem
from tfattn.cli.systems.flow import FlowSystem
from tfattn.cli.systems.gan import GANSystem
from tfattn.cli.systems.transformer import TransformerSystem
from tfattn.cli.systems.translator import TranslatorSystem
from tfattn.cli.systems.vae import VAESystem

SYSTEMS: dict[str, System] = {
    "vae": VAESystem(),
    "gan": GANSystem(),
    "flow": FlowSystem(),
    "transformer": TransformerSystem(),
    "translator": TranslatorSystem(),
    "completion": CompletionSystem(),
    "captioner": CaptionerSystem(),
    "classifier": ClassifierSystem(),
}


def system_of(result: dict[str, Any]) -> System:
    """The system of a run, from its metrics; ValueError if none has its name."""
    check_choice("system", result["system"], tuple(SYSTEMS))
    return SYSTEMS[result["system"]]
