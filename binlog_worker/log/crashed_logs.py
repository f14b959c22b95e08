"""What a crash of the server leaves: a log that ends in the middle, and one behind it that tells of a start.

MariaDB keeps such an end, MySQL cuts it off as it starts. The transaction in it was never committed. `created` of a
FORMAT_DESCRIPTION (MySQL source documentation "Format_description_event") is the mark of a start, after which replicas
too abort what is unfinished.
"""

from __future__ import annotations

from contextlib import closing

from binlog_worker.log.event_bodies import FormatDescription
from binlog_worker.log.events import FLAG_ARTIFICIAL, FORMAT_DESCRIPTION, HEADER, ROTATE, RawEvent, parse
from binlog_worker.xa.prepared import PastLogs

FIRST_POSITION = 4


def rotation_behind_crash(past: PastLogs, file: str, position: int) -> RawEvent | None:
    """The ROTATE that the server could not write at the end of `file`; None where the next log does not begin with a
    start of the server, or there is none: then the file is damaged. Raises what reading logs raises."""
    names = list(past.names())
    behind = names[names.index(file) + 1 :] if file in names else []
    if not behind:
        return None
    with closing(past.read(behind[0], FIRST_POSITION)) as following:
        for event in following:
            if event.kind == FORMAT_DESCRIPTION and event.end > event.position:
                break
        else:
            return None
    description = parse(event)
    assert isinstance(description, FormatDescription)
    if not description.created:
        return None
    body = FIRST_POSITION.to_bytes(8, "little") + behind[0].encode()
    header = HEADER.pack(event.timestamp, ROTATE, event.server_id, HEADER.size + len(body), 0, FLAG_ARTIFICIAL)
    return RawEvent(ROTATE, event.timestamp, event.server_id, FLAG_ARTIFICIAL, file, position, position, header + body)
