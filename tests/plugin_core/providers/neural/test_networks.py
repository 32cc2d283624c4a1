from __future__ import annotations

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import UsageError
from plugin_core.model import Separation
from plugin_core.providers.neural import mdx
from plugin_core.providers.neural.adapter import NeuralSettings
from plugin_core.providers.neural.networks import choose, find_model, read_catalogue
from plugin_core.stem_names import canonical

CATALOGUE = read_catalogue()
README = (Path(mdx.__file__).parent / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_row_is_whole(name: str) -> None:
    model = CATALOGUE[name]
    assert model.id == name == name.lower() and f"`{name}`" in README
    assert model.rest in model.stems and model.licence and model.author
    assert [canonical(stem) for stem in model.stems] == list(model.stems)
    assert model.page.startswith("https://") and model.page.rpartition("/")[0] in README
    assert callable(importlib.import_module(f"plugin_core.providers.neural.{model.kind}").load)
    for file in model.files:
        assert file.stem in ("", *model.stems) and file.name.endswith((".onnx", ".pth")[model.kind == "umx"])
        assert Path(file.name).name == file.name
        assert all(address.startswith("https://") and address.endswith(f"/{file.name}") for address in file.addresses)
        if model.kind == "mdx":
            assert (
                msgspec.convert(
                    {key: int(value) if value.is_integer() else value for key, value in file.parameters.items()},
                    mdx.MdxShape,
                ).compensate
                >= 1
            )
    names = [file.name for each in CATALOGUE.values() for file in each.files]
    assert len(names) == len(set(names))


def test_what_a_wish_needs() -> None:
    def needed(name: str, *stems: str, minus: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str, list[str]]:
        choice = choose(CATALOGUE[name], Separation(provider="neural", stems=stems, minus=minus))
        return choice.stems, choice.rest, [file.stem for file in choice.files]

    four, two = ("vocals", "drums", "bass", "other"), ("vocals", "instrumental")
    assert needed("umxhq") == (four, "other", ["vocals", "drums", "bass", "other"])
    assert needed("umxhq", "drums") == needed("umxhq")
    assert needed("umxhq", "vocals") == needed("umxhq", *two) == (two, "instrumental", ["vocals"])
    assert needed("umxhq", minus=("vocals",)) == (two, "instrumental", ["vocals"])
    assert needed("kuielab_a") == (four, "other", ["vocals", "drums", "bass"])
    assert needed("kuielab_a", "vocals") == (two, "instrumental", ["vocals"])
    assert needed("inst_hq_3", "vocals") == (two, "vocals", ["instrumental"])
    assert needed("htdemucs", "vocals") == (four, "other", [""])
    for name, wish in (("umxhq", "guitar"), ("kara_2", "vocals"), ("kara_2", "instrumental")):
        with pytest.raises(UsageError, match=f"neural {name} gives no '{wish}'"):
            needed(name, wish)
    with pytest.raises(UsageError, match="did you mean 'umxhq'"):
        find_model(CATALOGUE, "umxh")
    assert find_model(CATALOGUE, "KIM vocal 2").id == "kim_vocal_2"


def test_the_page_names_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", README.partition("| `[neural]`")[2], re.MULTILINE))
    defaults = NeuralSettings()
    assert set(rows) == set(NeuralSettings.__struct_fields__)
    assert all(str(getattr(defaults, name)) == said.strip("`") for name, said in rows.items() if name != "threads")
