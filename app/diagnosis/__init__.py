"""The part of the Diagnose page about the bottom records: what they have in common, where they were made, their worth."""
