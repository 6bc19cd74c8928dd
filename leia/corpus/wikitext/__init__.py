"""Wikitext to plain text with links, one look at each kind of markup after the other, in MediaWiki's order."""
