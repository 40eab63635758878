"""Images to words: model, networks, and the search for words."""
