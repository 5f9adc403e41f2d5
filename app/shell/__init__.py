"""What all pages stand on: the header, the state in the URL and the session, cached reads, texts, downloads, the kinds of runs."""
