"""The analysis as one page: what it shows (`document`), read from the rolled-up tables alone, and the page around
it."""
