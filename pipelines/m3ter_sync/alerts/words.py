"""Texts of others, made harmless for wherever a message is read."""

import re

from m3ter_sync.report.words import clip

# Longer ones say no more on a phone; the report has them in full.
_LENGTH = 160
# A link in a message of ours is trusted, and may hold a token: error texts bring both kinds.
_LINK = re.compile(r"(?:\b[a-z][a-z0-9+.-]*://|\bwww\.)\S+", re.IGNORECASE)
# What chat programs take for mentions, markup and links, and mail programs for HTML.
_HARMLESS = str.maketrans({"@": "(at)", "<": "\u2039", ">": "\u203a", "[": "(", "]": ")", "`": "'"})


def plain(text: object, length: int = _LENGTH) -> str:
    """A foreign text on one line, cut, that no channel can take for a mention, markup or a link."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * length])
    shown = _LINK.sub("(link)", shown)
    # Markdown and Slack's own kind of it; within a word an underscore is none.
    shown = re.sub(r"[*~]+|(?<!\w)_+|_+(?!\w)|\|\|+", "", shown).translate(_HARMLESS)
    return clip(shown, length) or "(none)"
