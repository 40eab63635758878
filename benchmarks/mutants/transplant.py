"""The code of a mutant in place of that of a module that is imported."""

from types import FunctionType, ModuleType

import keras
from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES


def transplant(module: ModuleType, source: str) -> None:
    """Gives a module the functions and constants of another source of it.

    Its classes stay the same objects, which tests have imported; decorators have been.
    """
    registries = keras.saving.get_custom_objects(), GLOBAL_CUSTOM_NAMES
    before = [dict(registry) for registry in registries]
    new = {"__name__": module.__name__, "__package__": module.__package__}
    exec(compile(source, module.__file__, "exec"), new)
    # Its classes have registered themselves in place of those that stay.
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)
    for name, value in new.items():
        if isinstance(value, int | float | dict) and not name.startswith("_"):
            setattr(module, name, value)
    _adopt(vars(module), new, module.__name__)


def _adopt(old, new, module):
    """Gives the functions of a module or a class the code of others of their names."""
    for name, value in new.items():
        there = old.get(name)
        for part in ("fget", "__func__"):  # of a property, of a static method
            if hasattr(value, part):
                value, there = getattr(value, part), getattr(there, part)
        if getattr(value, "__module__", None) != module:
            continue
        if isinstance(value, type):
            _adopt(vars(there), vars(value), module)
        elif isinstance(value, FunctionType):
            there.__code__ = value.__code__
            there.__defaults__ = value.__defaults__
            there.__kwdefaults__ = value.__kwdefaults__
