"""The translations of the pages, read from the catalogue of the language."""

from __future__ import annotations

import functools
import gettext
import io
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

_LOCALE: Final = Path(__file__).parent.parent / "locale"


@functools.cache
def translations(language: str) -> gettext.NullTranslations:
    """Return a language's translations; English is what the sources are written in."""
    path = _LOCALE / language / "LC_MESSAGES" / "watchdesk.po"
    if not path.exists():
        return gettext.NullTranslations()
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
