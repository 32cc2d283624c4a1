"""What a run would make and where, found out without making anything."""

from __future__ import annotations

from pathlib import Path

from plugin_core.audio.formats import FORMATS
from plugin_core.model import Part, Plan, Separation, Source
from plugin_core.operations.stem_tags import read_fields
from plugin_core.session import Session
from plugin_core.stem_names import title
from plugin_core.stems.layout import Layout
from plugin_core.stems.products import list_products
from plugin_core.stems.publication import choose_target
from plugin_core.stems.template import StemsSettings, parse_template, template_values


def foresee_files(session: Session, source: Source, plan: Plan) -> dict[str, Path]:
    """Return the files this plan would give now, by stem; empty where nothing is placed or nothing is known yet.

    Raises:
        UsageError: the template is wrong.
        PlacementError: a wanted stem is none of the model's.
    """
    wish = plan.operation
    if not isinstance(wish, Separation) or not plan.stems or wish.format not in FORMATS:
        return {}
    template = parse_template(
        wish.template or session.settings.section("stems", StemsSettings).template, is_setting=not wish.template
    )
    parts = [Part(stem=stem, label=stem, path=Path(stem)) for stem in plan.stems]
    names = [product.name for product in list_products(parts, wish)[0]]
    tags = read_fields(source.path, template)
    suffix = FORMATS[wish.format].suffix
    paths = tuple(
        template.render(
            template_values(
                source.path, title=title(name), suffix=suffix, provider=wish.provider, model=wish.model or "default"
            )
            | tags
        )
        for name in names
    )
    layout = Layout(Path("preview"), template.depth, paths)
    destination = wish.to or source.path.parent
    target = choose_target(layout, destination)
    _, number = layout.locate(target)
    return dict(zip(names, layout.files_at(destination, number), strict=True))
