"""Archives of recordings: fetched from a link or a path, recognised by content, unpacked safely."""
