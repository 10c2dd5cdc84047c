"""What several studies measure with: results of theirs are made again when it changes."""
