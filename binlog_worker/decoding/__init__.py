"""Row events → values: TABLE_MAP, row images, and a decoder per column type."""
