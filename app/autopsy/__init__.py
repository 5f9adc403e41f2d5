"""Parts of the page Autopsy."""
