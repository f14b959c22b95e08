"""Private real servers on free loopback ports: MariaDB with its binlog, and a Pub/Sub emulator.

Used alike by `make demo`, the tests and the benchmarks. All their files are in the folder the caller gives; each
stops only its own process, also when the program that started it dies.
"""

from demo.mariadb import MariaDB, ensure_mariadb
from demo.process import ServerFailed, ServerMissing, free_port
from demo.pubsub import PubSubEmulator

__all__ = ["MariaDB", "PubSubEmulator", "ServerFailed", "ServerMissing", "ensure_mariadb", "free_port"]
