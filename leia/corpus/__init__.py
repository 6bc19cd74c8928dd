"""From the dumps to articles: redirects, Wikidata ids, and the articles of WikiExtractor with their anchors."""
