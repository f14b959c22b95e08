"""XA transactions: held back from XA PREPARE until it is known what became of them."""
