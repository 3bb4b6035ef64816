"""What went wrong, or nearly: updates left out, numbers that were none, what was said."""

from collections.abc import Iterator

from apps.pages.markup import Markup, element, folded, join, number
from apps.pages.reading import Message, Read

MOST = 60  # different messages shown


def shown(run: Read) -> Markup:
    """Warnings first; what else was said is folded."""
    found = [*counted(run), *run.trouble]
    warned = _grouped(each for each in run.messages if each.kind == "warning")
    said = [*clipped(run), *_grouped(each for each in run.messages if each.kind != "warning")]
    parts = []
    if found or warned:
        parts.append(_listed([*found, *warned]))
    else:
        parts.append(element("p", "Nothing to warn of."))
    if said:
        parts.append(folded(f"What else is to be said ({len(said)})", _listed(said)))
    return join(parts)


def counted(run: Read) -> Iterator[str]:
    """What the numbers of the run tell."""
    for name, line in run.curves.items():
        player, _, word = name.rpartition("/")
        points = line.finite()
        if word == "skipped_total" and points and points[-1][1] > 0:
            count = points[-1][1]
            yield f"{number(count)} updates of {player} were skipped: not finite"
        lost = len(line.values) - len(points)
        if lost:
            yield f"{name} was not finite in {lost} of {len(line.values)} logged steps"


def clipped(run: Read) -> Iterator[str]:
    """How often gradients were scaled down, which most runs do at first."""
    for name, line in run.curves.items():
        player, _, word = name.rpartition("/")
        bound = _bound(run, player)
        if word != "gradient_norm" or not bound:
            continue
        norms = [value for _, value in line.finite()]
        if count := sum(value > bound for value in norms):
            yield (
                f"the gradient of {player} was clipped in {count} of {len(norms)} logged steps "
                f"(its norm was above {bound:g})"
            )


def _bound(run: Read, player: str) -> float | None:
    settings = run.config.critic if player == "critic" else run.config
    return None if settings is None else getattr(settings.optimiser, "clip", None)


def _grouped(messages: Iterator[Message]) -> list[str]:
    """Each text once, with where and how often."""
    steps: dict[str, list[int]] = {}
    for each in messages:
        steps.setdefault(each.text, []).append(each.step)
    texts = []
    for text, at in steps.items():
        often = f" ({len(at)} times, last at step {at[-1]:,})" if len(at) > 1 else ""
        texts.append(f"{text}{often}")
    return texts


def _listed(texts: list[str]) -> Markup:
    more = len(texts) - MOST
    items = [element("li", text) for text in texts[:MOST]]
    if more > 0:
        items.append(element("li", f"and {more} more, in messages.jsonl"))
    return element("ul", *items, class_="told")
