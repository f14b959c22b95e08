"""How the server sends its log: the dump connection, events and what is packed into them."""
