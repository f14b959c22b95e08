"""Change events → messages → Pub/Sub or files, and what is confirmed of them."""
