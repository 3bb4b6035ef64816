"""The sources of the project, and what each of them imports, read without running any."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(file): file
    for package in ("convt1d", "apps")
    for file in sorted((ROOT / package).rglob("*.py"))
}


def imports(module: str) -> set[str]:
    """All that a module imports, wherever in the file, as absolute names of modules."""
    found = set()
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in SOURCES else base)
    return found
