"""Speed and memory, each beside a baseline in the same run: `python -m bench`, `python -m bench.soak`.

Every benchmark starts its own private servers (`demo.servers`) in a temporary folder and drives the two commands from
outside, as processes. Nothing of the product imports this package.
"""
