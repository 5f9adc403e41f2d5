"""What all pages stand on: header, state in the URL and the session, cached reads, texts, downloads, kinds of runs."""
