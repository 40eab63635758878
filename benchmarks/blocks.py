"""Blocks of Markdown that a program writes, between two comments of their name."""

import re


def with_block(text: str, name: str, content: str) -> str:
    """The text with the block `<!-- name --> … <!-- /name -->` filled anew."""
    return re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda found: f"{found[1]}{content}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )
