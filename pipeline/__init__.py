"""Change events → warehouse: the Beam graph, its sources and sinks, the rollup and the commands around them."""
