"""The languages that people read: gettext catalogues, used as they are written, without a step to compile them."""

from __future__ import annotations

import gettext
import io
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final = ("en", "zh_CN")
_LOCALE: Final = Path(__file__).parent / "locale"


@cache
def translation(language: str) -> gettext.NullTranslations:
    """Return a language's translations; English, in which the sources are written, for one that there is not."""
    path = _LOCALE / language / "LC_MESSAGES" / "watchdesk.po"
    if language not in LANGUAGES or not path.exists():
        return gettext.NullTranslations()
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
